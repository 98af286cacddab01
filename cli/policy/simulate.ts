/**
 * `plimsoll policy simulate`: the same prompts under two versions of a tenant's policy, answer
 * beside answer. The command drives it prompt by prompt, so there is no job at the edge that could
 * be lost: what is done is in the file of results, and the same command goes on from there.
 */
import { Command } from 'commander';
import { number, positiveInteger } from '../options/numbers.ts';
import { progressBar } from '../options/progress-bar.ts';
import { untilSignal } from '../options/until-signal.ts';
import { recentPrompts } from './recent-prompts.ts';
import { type Edge, type EdgeFlags, edgeOf, onEdge, tenantAt, tenantOf, versionOf } from './running-edge.ts';
import { type AskSettings, askEdge, scoreAt } from './simulation/ask-edge.ts';
import { judgesOf } from './simulation/judges.ts';
import type { Compared, Outcome } from './simulation/outcome.ts';
import { type Messages, readPrompts } from './simulation/read-prompts.ts';
import { appendResult, digestOfPrompts, openResults } from './simulation/results-file.ts';
import { pageOf, type Summary, summarise } from './simulation/summary.ts';

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
      const head = {
        ...({ type: 'plimsoll-simulation', format: 2 } as const),
        ...{ tenant, ...versions, model, maxTokens, seed, scores },
        temperature: temperature ?? null,
        prompts: digestOfPrompts(prompts),
      };
      const done = await openResults(out, head, { force });
      await untilSignal(`stopped; ${out} has what is done, and the same command goes on from there`, async (signal) => {
        await answerAll(prompts, { done, out, versions, scores, asking: { edge, settings, signal } });
      });
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
  if (file !== undefined) return readPrompts(file);
  if (recent !== undefined) return recentPrompts(recent, { tenant, edge, out, force });
  throw new Error('--prompts is missing: a file of prompts, JSON Lines; or --recent N, where the edge may keep them');
}

async function namedVersion(given: string): Promise<{ version: string | null; file: string | undefined }> {
  return given === 'active' ? { version: null, file: undefined } : versionOf(given);
}

type Asking = { edge: Edge; settings: AskSettings; signal: AbortSignal };

/** Answers what is not done yet, and adds it to `done` and to the file. */
async function answerAll(
  prompts: readonly Messages[],
  {
    done,
    out,
    versions,
    scores,
    asking,
  }: {
    done: Map<number, Compared>;
    out: string;
    versions: { before: string; after: string };
    scores: boolean;
    asking: Asking;
  },
): Promise<void> {
  const bar = progressBar('simulating', '{value}/{total} prompts');
  const judges = judgesOf(out, done);
  const outcomeOf = async (version: string, messages: Messages, before: Outcome | undefined): Promise<Outcome> => {
    const isThere = before !== undefined && before.kind !== 'failed';
    const outcome = isThere ? before : await askEdge({ version, messages }, asking);
    const isJudged = outcome.scores !== null || (isThere && outcome.unscored === null);
    if (!scores || isJudged || judges.areNone || outcome.kind !== 'answered') return outcome;
    const found = await scoreAt({ messages, answer: outcome.text }, asking);
    judges.accept(found === null ? null : found.scores?.bundle);
    return { ...outcome, ...found };
  };
  const isMissing = ({ kind, unscored }: Outcome) => kind === 'failed' || unscored !== null;
  const todo = [...prompts.entries()].filter(([index]) => {
    const there = done.get(index);
    return there === undefined || isMissing(there.before) || isMissing(there.after);
  });
  bar.start(prompts.length, prompts.length - todo.length);
  try {
    for (const [count, [index, messages]] of todo.entries()) {
      asking.signal.throwIfAborted();
      const there = done.get(index);
      const [before, after] = await Promise.all([
        outcomeOf(versions.before, messages, there?.before),
        outcomeOf(versions.after, messages, there?.after),
      ]);
      const compared = { index, before, after };
      await appendResult(out, compared);
      done.set(index, compared);
      bar.update(prompts.length - todo.length + count + 1);
    }
  } catch (thrown) {
    throw asking.signal.aborted ? asking.signal.reason : thrown;
  } finally {
    bar.stop();
  }
  if (scores && judges.areNone) {
    process.stderr.write(`the model ${asking.settings.model} has no reward and cost heads, so there are no scores\n`);
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
