/**
 * Answers a few fixed prompts greedily while a model is being trained, so that one sees early
 * whether it babbles, refuses everything or forgets to stop.
 */
import { int64 } from '#gpu-backend/graph/session.ts';
import { type DecoderConfig, eosIds } from '#gpu-backend/model/config.ts';
import type { Message } from '#shared/protocol/generate.ts';
import type { Parameters } from '../optim/adamw.ts';
import type { Sample } from '../run/loop.ts';
import { parameterFeeds } from '../run/run-step.ts';
import type { SessionOf } from '../run/training-sessions.ts';
import type { TrainingTokenizer } from '../tokenizer/chat-files.ts';

export type SampleOptions = {
  /** How many prompts to answer; 0: none. */
  count: number;
  /** Prompts to answer instead of held-out ones. */
  prompts?: readonly (readonly Message[])[];
};

const MOST_ANSWER_TOKENS = 32;
/** Longer held-out prompts are not chosen, because a pass costs by the length of the longest. */
const LONG_PROMPT_TOKENS = 64;
const LENGTH_STEP = 32;

/**
 * Chooses what to answer: the user's own prompts, or else the first held-out ones that are short
 * and differ.
 */
export function samplePrompts(
  { count, prompts }: SampleOptions,
  heldOut: Iterable<readonly Message[]>,
  { renderChat }: Pick<TrainingTokenizer, 'renderChat'>,
): (readonly Message[])[] {
  if (prompts !== undefined) return prompts.slice(0, count);
  const chosen = new Map<string, readonly Message[]>();
  for (const prompt of heldOut) {
    if (chosen.size >= count) break;
    const text = JSON.stringify(prompt);
    if (!chosen.has(text) && renderChat(prompt).length <= LONG_PROMPT_TOKENS) chosen.set(text, prompt);
  }
  return [...chosen.values()];
}

/**
 * Answers with the likeliest token at every step, up to an end token, 32 tokens or the context's
 * end. `session` makes graphs of `next-token-graph.ts`. Throws if a prompt fills the context.
 */
export async function sampleAnswers(
  prompts: readonly (readonly Message[])[],
  {
    config,
    tokenizer,
    session,
    parameters,
  }: { config: DecoderConfig; tokenizer: TrainingTokenizer; session: SessionOf; parameters: Parameters },
): Promise<Sample[]> {
  const context = config.max_position_embeddings;
  const stops = new Set([tokenizer.eosId, ...eosIds(config)]);
  const rows = prompts.map((prompt) => {
    const ids = [...tokenizer.renderChat(prompt)];
    if (ids.length >= context) {
      throw new Error(`a sample prompt has ${ids.length} tokens, the context only ${context}: ${shown(prompt)}`);
    }
    return { ids, start: ids.length, done: false };
  });
  for (let step = 0; step < MOST_ANSWER_TOKENS && rows.some(({ done }) => !done); step++) {
    const longest = Math.max(...rows.map(({ ids }) => ids.length));
    const length = Math.min(context, LENGTH_STEP * Math.ceil(longest / LENGTH_STEP));
    const batch = new Array<number>(rows.length * length).fill(tokenizer.padId);
    rows.forEach(({ ids }, row) => {
      for (const [i, id] of ids.entries()) batch[row * length + i] = id;
    });
    const { logits } = await (await session({ rows: rows.length, length })).run({
      ids: int64([rows.length, length], batch),
      last: int64(
        [rows.length],
        rows.map(({ ids }) => ids.length - 1),
      ),
      ...parameterFeeds(parameters),
    });
    rows.forEach((row, r) => {
      if (row.done) return;
      const next = likeliest(logits!.subarray(r * config.vocab_size, (r + 1) * config.vocab_size));
      if (stops.has(next)) row.done = true;
      else row.ids.push(next);
      if (row.ids.length === context) row.done = true;
    });
  }
  return rows.map(({ ids, start }, i) => ({
    prompt: shown(prompts[i]!),
    answer: tokenizer.tokenizer.decode(ids.slice(start)),
  }));
}

const shown = (prompt: readonly Message[]) => prompt.at(-1)!.content;

function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id]! > logits[best]!) best = id;
  return best;
}
