/**
 * Tries the engines of a remote bundle before anybody depends on them: does each server answer,
 * does it have the bundle's tokenizer, do the experts differ, and does a server that has both keep
 * them apart? What one of them cached under one adapter and reads under another (llama.cpp#26207)
 * would be a safety expert that is none.
 */
import type { OwnRow } from '#shared/gate/pair-rows.ts';
import { asError } from '../engine/turns.ts';
import { withPrompt } from '../model/expert-prompt.ts';
import type { BundleHead } from '../model/load-bundle.ts';
import { ExpertRole } from '../model/manifest.ts';
import type { RemoteEngine } from './ask-engine.ts';
import { type TruncationCost, truncationCost } from './truncation-cost.ts';

export type EngineFinding = {
  role: ExpertRole;
  url: string;
  /** What is wrong; undefined if all is well. */
  problem?: string;
  /** What the server said, if it said something. */
  told?: { promptTokens: number; likeliest: string; logprob: number; ms: number };
};

/** One to four bytes of UTF-8, a contraction, a number, and white space of three kinds. */
const TEXT = "It's 12 o'clock: a é\n€ 😀\t ok.  The end";

/** Two answers to one question may differ by so many nats: batches round otherwise. */
const SAME = 0.1;

const QUESTIONS = ['What is the capital of France?', 'How do I get rid of the mould on my bathroom wall?'];

/** @param signal ends the check; then it throws the signal's reason */
export async function checkEngines(
  engines: Record<ExpertRole, RemoteEngine>,
  { head, signal }: { head: Pick<BundleHead, 'renderChat' | 'prompts' | 'tokenizer'>; signal: AbortSignal },
): Promise<EngineFinding[]> {
  const findings: EngineFinding[] = [];
  for (const role of ExpertRole.options) {
    for (const url of engines[role].urls) findings.push(await checkServer(role, url, { engines, head, signal }));
  }
  return findings;
}

/** What truncation costs with these engines, on the questions of the check. */
export function checkTruncation(
  engines: Record<ExpertRole, RemoteEngine>,
  { head, weight, signal }: Omit<Context, 'engines'> & { weight: number },
): Promise<TruncationCost> {
  const prompts = QUESTIONS.map((question) => ({
    safety: promptOf('safety', question, head),
    helpfulness: promptOf('helpfulness', question, head),
  }));
  return truncationCost(engines, { prompts, weight, signal });
}

type Context = {
  engines: Record<ExpertRole, RemoteEngine>;
  head: Pick<BundleHead, 'renderChat' | 'prompts' | 'tokenizer'>;
  signal: AbortSignal;
};

async function checkServer(role: ExpertRole, url: string, context: Context): Promise<EngineFinding> {
  const { engines, head, signal } = context;
  try {
    const other = tokenizerProblem(await engines[role].tokenizeAt(url, TEXT, signal), head.tokenizer);
    if (other !== undefined) return { role, url, problem: other };
    const ids = promptOf(role, QUESTIONS[0]!, head);
    const began = performance.now();
    const row = await engines[role].nextAt(url, ids, signal);
    const ms = performance.now() - began;
    const [likeliest, logprob] = top(row);
    const told = { promptTokens: ids.length, likeliest: head.tokenizer.decode([likeliest]), logprob, ms };
    const mixed = await mixedUp(role, url, context);
    return { role, url, told, ...(mixed !== undefined && { problem: mixed }) };
  } catch (thrown) {
    signal.throwIfAborted();
    return { role, url, problem: asError(thrown).message };
  }
}

/** Asks this expert, the other one on the same server if it is there, and this one again. */
async function mixedUp(role: ExpertRole, url: string, { engines, head, signal }: Context): Promise<string | undefined> {
  const other = role === 'safety' ? 'helpfulness' : 'safety';
  let farthest = 0;
  for (const question of QUESTIONS) {
    const ids = promptOf(role, question, head);
    const before = await engines[role].nextAt(url, ids, signal);
    const beside = engines[other].urls.includes(url) ? url : engines[other].urls[0]!;
    const theirs = await engines[other].nextAt(beside, promptOf(other, question, head), signal);
    const after = await engines[role].nextAt(url, ids, signal);
    const moved = distance(before, after);
    if (moved > SAME) {
      return (
        `the same question got another answer (by ${moved.toFixed(3)} nats) after the ${other} expert was asked; ` +
        'it may read one adapter’s keys and values under another one: use a server for each expert'
      );
    }
    farthest = Math.max(farthest, distance(before, theirs));
  }
  if (farthest > 1e-6) return undefined;
  return `it answers as the ${other} expert does, to the last digit: the adapter is not in use`;
}

function tokenizerProblem(found: readonly number[] | null, tokenizer: BundleHead['tokenizer']): string | undefined {
  if (found === null) return undefined;
  const wanted = tokenizer.encode(TEXT);
  const place = wanted.findIndex((id, i) => found[i] !== id);
  if (place === -1 && found.length === wanted.length) return undefined;
  const at = place === -1 ? wanted.length : place;
  return `it has another tokenizer: token ${at} of a text is ${found[at]} there, and ${wanted[at]} in the bundle`;
}

function promptOf(role: ExpertRole, content: string, { renderChat, prompts }: Context['head']): number[] {
  const question = [{ role: 'user' as const, content }];
  const own = prompts[role];
  return [...renderChat(own === undefined ? question : withPrompt(question, own))];
}

/** The largest difference of log-probabilities at ids of both rows; Infinity if there are none. */
function distance(a: OwnRow, b: OwnRow): number {
  const other = new Map(Array.from(b.ids, (id, i) => [id, b.logprobs[i]!]));
  const gaps = Array.from(a.ids, (id, i) => {
    const theirs = other.get(id);
    return theirs === undefined || (theirs === -Infinity && a.logprobs[i] === -Infinity)
      ? []
      : [Math.abs(a.logprobs[i]! - theirs)];
  }).flat();
  return gaps.length === 0 ? Infinity : Math.max(...gaps);
}

function top({ ids, logprobs }: OwnRow): [id: number, logprob: number] {
  const place = logprobs.indexOf(logprobs.reduce((most, lp) => Math.max(most, lp), -Infinity));
  return [ids[place]!, logprobs[place]!];
}
