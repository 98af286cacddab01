/**
 * What another inference engine has to do to serve one expert: say what its model gives the next
 * token after some ids. A dialect (vllm.ts, sglang.ts, llama-cpp.ts, openai-logprobs.ts) turns our
 * questions into the engine's own HTTP, and its answers into pairs of id and log-probability.
 * ask-engine.ts does the rest: which server, how long, what to do when it fails.
 *
 * There are two questions. `rows`: which tokens may come after each of the last ids? And `goOn`:
 * what would the model say next, greedily, and what else might have come at each place? One
 * position of the one and one token of the other are the same question, and an engine must give
 * both the same answer, up to rounding.
 */

import { RowError } from './own-row.ts';

/** A token's id and its log-probability in nats, under a softmax over the whole vocabulary. */
export type IdLogprob = readonly [id: number, logprob: number];

/** The likeliest tokens in any order, perhaps more than were asked for. */
type Likeliest = IdLogprob[];

/** A token that the model said, and what it was chosen from. */
type Said = { id: number; row: Likeliest };

export type HttpQuestion = {
  /** Appended to the server's base URL. */
  path: string;
  body: unknown;
};

/** What every question to one expert's servers has in common. */
export type Asked = {
  /** An adapter or a model; null if the server has only one. */
  model: string | null;
  /** How many of the likeliest tokens to tell. */
  topK: number;
  /**
   * Keys and values are shared only between questions with the same one; null if they may be shared
   * by all. A dialect whose engine knows no such thing ignores it, and docs/scaling.md says so.
   */
  cacheSalt: string | null;
  /** Where the engine knows no salts: whether its answer may read what it has cached. */
  readsCache?: boolean;
};

/**
 * How one kind of engine is asked, and how its answers are read. Readers get the parsed JSON of an
 * answer with status 200, and throw a ZodError if it is not what this engine sends.
 */
export type Dialect = {
  /** For messages. */
  name: 'vllm' | 'sglang' | 'llamacpp' | 'openai-logprobs';
  /** Whether a new `cacheSalt`, or `readsCache: false`, keeps an answer from what is cached. */
  canAskCold: boolean;
  rows: {
    /** `ids` holds at least `positions`, which are at least 1. */
    question(query: { ids: readonly number[]; positions: number }, asked: Asked): HttpQuestion;
    /** After each of the last `positions` ids, oldest first. */
    read(answer: unknown, query: { positions: number }): Likeliest[];
  };
  /** null for an engine that makes no drafts. */
  goOn: {
    /** @param count of tokens, at least 1 */
    question(query: { ids: readonly number[]; count: number }, asked: Asked): HttpQuestion;
    /** As many tokens as were asked for, or fewer if the model would have ended its answer. */
    read(answer: unknown): Said[];
  } | null;
  /**
   * How to learn which ids the engine's own tokenizer makes of a text; null if it does not tell. It
   * adds no special tokens, and what is written like a control token is that token.
   */
  tokenize: {
    question(text: string, options: { model: string | null }): HttpQuestion;
    read(answer: unknown): number[];
  } | null;
  /** How to learn what a server puts on its model; null if no server of the kind tells. */
  adapters: {
    /** The route of a GET. */
    path: string;
    /** How many adapters the expert's answers have; null if this server does not tell. */
    read(answer: unknown, options: { model: string | null }): number | null;
  } | null;
};

/**
 * The answers in the order of their prompts.
 *
 * @throws RowError unless their indices are exactly 0 to `count` - 1
 */
export function inOrder<T extends { index?: number | undefined }>(answers: readonly T[], count: number): T[] {
  const sorted = answers.toSorted((a, b) => (a.index ?? -1) - (b.index ?? -1));
  if (sorted.length === count && sorted.every(({ index }, i) => index === i)) return sorted;
  const found = answers.map(({ index }) => index ?? 'none').join(', ');
  throw new RowError(`its answers have the index ${found.slice(0, 100)}, wanted 0 to ${count - 1}, each once`);
}

/** The prompts that end after each of the last `positions` ids: one question in many. */
export function prefixesOf({ ids, positions }: { ids: readonly number[]; positions: number }): (readonly number[])[] {
  return Array.from({ length: positions }, (_, i) => ids.slice(0, ids.length - positions + 1 + i));
}
