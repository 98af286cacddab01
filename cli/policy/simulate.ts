/**
 * `plimsoll policy simulate`: the same prompts under two versions of a tenant's policy, answer
 * beside answer. The command drives it prompt by prompt, so there is no job at the edge that could
 * be lost: what is done is in the file of results, and the same command goes on from there.
 */
import { Command } from 'commander';
import { judgesOf } from '#policies/simulation/judges.ts';
import type { Compared } from '#policies/simulation/outcome.ts';
import type { Messages } from '#policies/simulation/read-prompts.ts';
import { digestOfPrompts, headOf } from '#policies/simulation/results.ts';
import { isMissing, type Simulation, simulate as simulateAll } from '#policies/simulation/simulate.ts';
import { type Summary, summarise } from '#policies/simulation/summary.ts';
import { number, positiveInteger } from '../options/numbers.ts';
import { progressBar } from '../options/progress-bar.ts';
import { untilSignal } from '../options/until-signal.ts';
import { recentPrompts } from './recent-prompts.ts';
import { type Edge, type EdgeFlags, edgeOf, onEdge, tenantAt, tenantOf, versionOf } from './running-edge.ts';
import { readPromptsFile } from './simulation/prompts-file.ts';
import { appendResult, openResults, REMEDY } from './simulation/results-file.ts';
import { pageOf } from './simulation/summary-page.ts';

type Flags = EdgeFlags & {
  prompts?: string;
  recent?: number;
  out: string;
  model: string;
  maxTokens: number;
  seed: number;
  temperature?: number;
  scores: boolean;
  force: boolean;
  json: boolean;
};

export const simulate = () =>
  onEdge(new Command('simulate'), { scope: 'spend' })
    .description(
      'answer the same prompts under two versions of a policy, and compare: refusals, weights, spent, length',
    )
    .argument('<before>', 'a version, the file it was pushed from, or active')
    .argument('<after>', 'another one')
    .option('--prompts <file>', 'JSON Lines: {"prompt": TEXT} or {"messages": [...]} on each')
    .option('--recent <n>', 'the latest prompts of clients, if their policy lets the edge keep them', positiveInteger)
    .option('--out <file>', 'the results, JSON Lines; a run that was stopped goes on from it', 'simulation.jsonl')
    .option('--model <id>', 'which model answers', 'plimsoll-demo')
    .option('--max-tokens <n>', 'the most tokens of an answer', positiveInteger, 128)
    .option('--seed <n>', 'of the draws; both versions get the same one', positiveInteger, 1)
    .option('--temperature <t>', "how freely tokens are drawn; left out, as the model's bundle says", number)
    .option('--no-scores', "do not ask the model's reward and cost heads about the answers")
    .option('--force', 'begin anew, whatever is in --out', false)
    .option('--json', 'print the sums as JSON', false)
    .addHelpText(
      'after',
      `
For --recent, a key of the tenant needs the scope prompts too.
Answers cost the tenant tokens, and wait where its limits say so. Ctrl-C stops; the same command goes on, and asks again
for what has failed. Exits with 1 if anything has. Stored versions are compared: push a file first.`,
    )
    .action(async (before: string, after: string, flags: Flags) => {
      const { out, model, maxTokens, seed, temperature, scores, force, json } = flags;
      const [a, b] = [await namedVersion(before), await namedVersion(after)];
      const tenant = tenantOf(flags, a.file ?? b.file);
      const edge = edgeOf(flags);
      const prompts = await promptsOf(flags, { tenant, edge });
      const { policy_version: active } = await tenantAt(tenant, edge);
      const versions = { before: a.version ?? active, after: b.version ?? active };
      const settings = { tenant, model, maxTokens, seed, temperature };
      const head = headOf({
        ...{ tenant, ...versions, model, maxTokens, seed, scores },
        temperature: temperature ?? null,
        prompts: await digestOfPrompts(prompts),
      });
      const done = await openResults(out, head, { force });
      const judges = scores ? judgesOf(done, { name: out, remedy: REMEDY }) : null;
      await untilSignal(`stopped; ${out} has what is done, and the same command goes on from there`, (signal) =>
        answerAll(out, done, { prompts, versions, edge, settings, judges, signal }),
      );
      if (judges?.areNone)
        process.stderr.write(`the model ${model} has no reward and cost heads, so there are no scores\n`);
      const summary = summarise([...done.values()].toSorted((x, y) => x.index - y.index));
      console.log(json ? JSON.stringify({ ...versions, ...summary }, null, 2) : pageOf(summary));
      tellMissing(summary, out);
    });

/** Throws before the edge is asked, if nobody has said where they come from. */
function promptsOf(
  { prompts: file, recent, out, force }: Flags,
  { tenant, edge }: { tenant: string; edge: Edge },
): Promise<Messages[]> {
  if (file !== undefined && recent !== undefined) throw new Error('--prompts and --recent: give one of the two');
  if (file !== undefined) return readPromptsFile(file);
  if (recent !== undefined) return recentPrompts(recent, { tenant, edge, out, force });
  throw new Error('--prompts is missing: a file of prompts, JSON Lines; or --recent N, where the edge may keep them');
}

async function namedVersion(given: string): Promise<{ version: string | null; file: string | undefined }> {
  return given === 'active' ? { version: null, file: undefined } : versionOf(given);
}

/** Answers what is not done yet, and adds it to `done` and to the file. */
async function answerAll(
  out: string,
  done: Map<number, Compared>,
  asked: Omit<Simulation, 'done' | 'keep'>,
): Promise<void> {
  const bar = progressBar('simulating', '{value}/{total} prompts');
  const { length } = asked.prompts;
  let left = asked.prompts.filter((_, index) => isMissing(done.get(index))).length;
  bar.start(length, length - left);
  const keep = async (compared: Compared) => {
    await appendResult(out, compared);
    done.set(compared.index, compared);
    left--;
    bar.update(length - left);
  };
  try {
    await simulateAll({ ...asked, done, keep });
  } finally {
    bar.stop();
  }
}

/** Says what is missing, and fails the command then. */
function tellMissing({ failed, unscored, prompts }: Summary, out: string): void {
  if (failed + unscored === 0) return;
  process.exitCode = 1;
  process.stderr.write(
    `${failed} of ${prompts} prompts failed, and ${unscored} could not be scored; ${out} has the reasons, and the same command asks for them again\n`,
  );
}
