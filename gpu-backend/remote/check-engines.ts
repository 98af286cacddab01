/**
 * Tries the engines of a remote bundle before anybody depends on them: does each server answer,
 * does it have the bundle's tokenizer, do the experts differ, and does a server that has both keep
 * them apart? What one of them cached under one adapter and reads under another (llama.cpp#26207)
 * would be a safety expert that is none.
 */
import { randomUUID } from 'node:crypto';
import type { OwnRow } from '#shared/gate/pair-rows.ts';
import { asError } from '../engine/turns.ts';
import { hasAdapter } from '../model/expert-kinds.ts';
import { withPrompt } from '../model/expert-prompt.ts';
import type { BundleHead } from '../model/load-bundle.ts';
import { ExpertRole } from '../model/manifest.ts';
import type { RemoteEngine } from './ask-engine.ts';
import { tokenizerProblem } from './check-tokenizer.ts';
import { isSameServer } from './same-server.ts';
import { type TruncationCost, truncationCost } from './truncation-cost.ts';

export type EngineFinding = {
  role: ExpertRole;
  url: string;
  /** What is wrong; undefined if all is well. */
  problem?: string;
  /** What could not be tried; undefined if everything was. */
  unknown?: string;
  /** What the server said, if it said something. */
  told?: { promptTokens: number; likeliest: string; logprob: number; ms: number };
};

/** Two answers of an engine may differ by so many nats, though its own hardly differ. */
const SAME = 0.1;
/**
 * The same where its own differ. In bf16, logits from 16 to 32 have steps of 0.125 and those above
 * have steps of 0.25, and what comes out of a prefix cache was added up in another order
 * (vllm#5543).
 */
const SAME_IN_NOISE = 0.5;
/** From so many nats on, an engine's own answers differ. */
const NOISE_FROM = 0.03;
/** By how many times as much as its own answers do, if that is more. */
const NOISE = 4;
/** More than this is no noise, and no answers are the same that are farther apart. */
const MOST_NOISE = 1;
/** How much of what a cache changes may count as noise: it might be the fault itself. */
const CACHE_NOISE = 0.25;

const QUESTIONS = ['What is the capital of France?', 'How do I get rid of the mould on my bathroom wall?'];

/** So that a prompt has several blocks: vLLM caches whole ones, of 16 tokens. */
const BEFORE =
  'I live in an old house with my two children and a dog, and I have never been good at such things. ' +
  'Please read all of this with care, take your time, and then answer in a few plain words that all of us ' +
  'can understand. If there is something that you do not know, say so, and do not guess. My question is this:';

/** @param signal ends the check; then it throws the signal's reason */
export async function checkEngines(
  engines: Record<ExpertRole, RemoteEngine>,
  {
    head,
    signal,
  }: { head: Pick<BundleHead, 'renderChat' | 'prompts' | 'tokenizer' | 'manifest' | 'config'>; signal: AbortSignal },
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
  head: Pick<BundleHead, 'renderChat' | 'prompts' | 'tokenizer' | 'manifest' | 'config'>;
  signal: AbortSignal;
};

async function checkServer(role: ExpertRole, url: string, context: Context): Promise<EngineFinding> {
  const { engines, head, signal } = context;
  try {
    const other = await tokenizerProblem(engines[role], url, { head, signal });
    if (other !== undefined) return { role, url, problem: other };
    const ids = promptOf(role, QUESTIONS[0]!, head);
    const began = performance.now();
    const row = await engines[role].nextAt(url, ids, signal);
    const ms = performance.now() - began;
    const [likeliest, logprob] = top(row);
    const told = { promptTokens: ids.length, likeliest: head.tokenizer.decode([likeliest]), logprob, ms };
    const adapters = await engines[role].adaptersAt(url, signal);
    const problem = adapterProblem(adapters, role, head) ?? (await mixedUp(role, url, context));
    const unknown = [...(adapters === null ? [NO_ADAPTERS] : []), ...unknownOf(url, engines)].join('; ');
    return { role, url, told, ...(unknown !== '' && { unknown }), ...(problem !== undefined && { problem }) };
  } catch (thrown) {
    signal.throwIfAborted();
    return { role, url, problem: asError(thrown).message };
  }
}

/**
 * Both experts are asked the same ids, in both orders, each time of a prompt that is new to the
 * server. What this expert says then is held against what it says where nothing cached is read. The
 * cold question comes last: asked first, it might fill a cache whose keys have no salt. How far
 * sound answers are from each other is asked of the same server: cold twice, and after itself.
 */
async function mixedUp(role: ExpertRole, url: string, { engines, head, signal }: Context): Promise<string | undefined> {
  const other = role === 'safety' ? 'helpfulness' : 'safety';
  const beside = engines[other].urls.find((one) => isSameServer(one, url)) ?? engines[other].urls[0]!;
  let farthest = 0;
  for (const question of QUESTIONS) {
    for (const isFirst of [false, true]) {
      const ids = newPrompt(question, head);
      const warm = { cacheSalt: randomUUID() };
      if (isFirst) await engines[role].nextAt(url, ids, signal, warm);
      const theirs = await engines[other].nextAt(beside, ids, signal, warm);
      const after = await engines[role].nextAt(url, ids, signal, warm);
      const alone = { cacheSalt: randomUUID() };
      const cold = await engines[role].nextAt(url, ids, signal, { ...alone, readsCache: false });
      const afterItself = await engines[role].nextAt(url, ids, signal, alone);
      const again = await engines[role].nextAt(url, ids, signal, { cacheSalt: randomUUID(), readsCache: false });
      const unsteady = distance(cold, again);
      if (unsteady > MOST_NOISE) {
        return `it answers one question in ways that are ${unsteady.toFixed(3)} nats apart, with nothing cached`;
      }
      const noise = Math.max(unsteady, Math.min(distance(cold, afterItself), CACHE_NOISE));
      const moved = distance(cold, after);
      if (moved > allowed(noise)) {
        return (
          `its answer is off by ${moved.toFixed(3)} nats where the ${other} expert has asked the same before; ` +
          'it may read one adapter’s keys and values under another one: use a server for each expert'
        );
      }
      farthest = Math.max(farthest, distance(cold, theirs));
    }
  }
  // Experts that are prompts alone are one model.
  if (farthest > 1e-6 || head.manifest.experts.every(({ adapter }) => adapter === false)) return undefined;
  return `it answers as the ${other} expert does, to the last digit: the adapter is not in use`;
}

/** How many nats apart answers of one expert may be, if its own are so many apart anyway. */
function allowed(noise: number): number {
  return Math.min(MOST_NOISE, Math.max(noise < NOISE_FROM ? SAME : SAME_IN_NOISE, NOISE * noise));
}

/** Ids that no server has read before, without prompts of experts; several blocks of a cache. */
const newPrompt = (question: string, { renderChat }: Context['head']): number[] => [
  ...renderChat([{ role: 'user', content: `${randomUUID().slice(0, 8)}: ${BEFORE} ${question}` }]),
];

/** What the check cannot tell of the caches of such a server. */
function unknownOf(url: string, { safety, helpfulness }: Context['engines']): string[] {
  if (![safety, helpfulness].every(({ urls }) => urls.some((one) => isSameServer(one, url)))) return [];
  if (safety.canAskCold && helpfulness.canAskCold) return [];
  return [
    'whether it reads one adapter’s keys and values under the other one: ' +
      'this engine cannot be asked without its cache; use a server for each expert',
  ];
}

const NO_ADAPTERS = 'whether it applies an adapter: it does not say';

/** Two experts that differ are no proof: a bare model differs from any adapter on it, too. */
function adapterProblem(found: number | null, role: ExpertRole, { manifest }: Context['head']): string | undefined {
  const isAdapter = hasAdapter(manifest, role);
  if (found === null || found === Number(isAdapter)) return undefined;
  if (found > 1)
    return `it applies ${found} adapters at once, and the ${role} expert has ${isAdapter ? 'one' : 'none'}`;
  return isAdapter
    ? `it applies no adapter, and the bundle says that the ${role} expert is one`
    : `it applies an adapter, and the bundle says that the ${role} expert is the base`;
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
