/**
 * What another inference engine has to do to serve one expert: say what its model gives the next
 * token after some ids. A dialect (vllm.ts, sglang.ts, llama-cpp.ts) turns that question into the
 * engine's own HTTP, and its answer into pairs of id and log-probability. ask-engine.ts does the
 * rest: which server, how long, what to do when it fails.
 */

/** The question: which tokens may come after these ids? */
type NextTokenQuery = {
  /** At least one id. */
  ids: readonly number[];
  /** How many of the likeliest tokens to tell. */
  topK: number;
};

/** A token's id and its log-probability in nats, under a softmax over the whole vocabulary. */
export type IdLogprob = readonly [id: number, logprob: number];

export type HttpQuestion = {
  /** Appended to the server's base URL. */
  path: string;
  body: unknown;
};

/** How one kind of engine is asked, and how its answers are read. */
export type Dialect = {
  /** For messages. */
  name: 'vllm' | 'sglang' | 'llamacpp';
  question(query: NextTokenQuery, options: { model: string | null }): HttpQuestion;
  /**
   * @param answer the parsed JSON of an answer with status 200
   * @returns the likeliest tokens in any order, perhaps more than were asked for. Throws a ZodError
   *   if the answer is not what this engine sends.
   */
  read(answer: unknown): IdLogprob[];
  /** How to learn which ids the engine's own tokenizer makes of a text, without special tokens. */
  tokenize: {
    question(text: string, options: { model: string | null }): HttpQuestion;
    read(answer: unknown): number[];
  };
};
