/**
 * What the computation of docs/scaling.md assumes, because it could not be measured here: what an
 * average request is, and what vLLM and SGLang do with an 8B model on one H100. Each number says
 * where it is from. Change one, run `npm run bench -- scaling --docs docs/scaling`, and the page
 * says what follows.
 */
import { LLAMA_3_8B, multipliedWeights } from '../engine/on-paper.ts';

/** An average request. */
export const REQUEST = { promptTokens: 500, answerTokens: 200 } as const;

/** No part of a deployment is planned to be busy for more than this share of its time. */
export const BUSY = 0.7;

/** There and back between two pods of one data center, in milliseconds. */
export const ROUND_TRIP_MS = 0.5;

const H100 = { memory: 3.35e12, flops: 989e12 };
/** Of the memory's bandwidth: https://johnmusgrave.com/p/vllm-throughput-latency-sweep-on (A100) */
const BANDWIDTH_REACHED = 0.77;
/** Of the tensor cores' speed, in the large products of a prompt. */
const FLOPS_REACHED = 0.5;
/** https://www.morphllm.com/vllm-benchmarks: tokens a second of Llama 3.1 8B on one H100. */
const PUBLISHED = { tokensPerSecond: 12_500, rows: 256 };

const weights = multipliedWeights(LLAMA_3_8B);

/** Milliseconds to read all weights once: what a step takes that has next to no rows. */
const READ_MS = ((weights * LLAMA_3_8B.elementBytes) / (H100.memory * BANDWIDTH_REACHED)) * 1000;

/**
 * What one row adds to a step: attention, adapters, sampling, scheduling. So large that 256 rows a
 * step come to the published speed.
 */
const ROW_MS = ((1000 * PUBLISHED.rows) / PUBLISHED.tokensPerSecond - READ_MS) / PUBLISHED.rows;

/** What one token of a prompt adds. */
export const PROMPT_TOKEN_MS = ((2 * weights) / (H100.flops * FLOPS_REACHED)) * 1000;

export type EngineModel = {
  name: string;
  /** Milliseconds of a step without rows, and what a question for one next token adds to it. */
  readMs: number;
  questionMs: number;
  /** The most sequences in a step, be they questions or prompts. */
  most: number;
  /** CPU of one question in the process that speaks HTTP, which works on one core. */
  httpMs: number;
  /** Questions for one token of an answer. */
  questionsPerToken: number;
};

/**
 * A question for one next token, whose beginning is in the prefix cache. vLLM keeps blocks of 16
 * tokens (`--block-size`), and reads the rest of the last one again: 0 to 15 tokens beside the last
 * one, 7.5 in the mean. SGLang keeps single tokens (`--page-size 1`).
 */
const AGAIN = { vllm: 7.5, sglang: 0 };

/**
 * Nothing published was found for how many such questions one process can take: it reads JSON,
 * checks it, sends it to the engine's process, and writes twenty log-probabilities. The page says
 * what half of it and twice as much would change.
 */
export const HTTP_MS = 1;

const engine = (name: string, again: number, httpMs: number): EngineModel => ({
  ...{ name, readMs: READ_MS, questionMs: ROW_MS + again * PROMPT_TOKEN_MS, most: 512, httpMs },
  questionsPerToken: 2,
});

export const VLLM = (httpMs: number = HTTP_MS) => engine('vLLM', AGAIN.vllm, httpMs);
export const SGLANG = (httpMs: number = HTTP_MS) => engine('SGLang', AGAIN.sglang, httpMs);

/**
 * The gate inside the engine, as a logits processor of vLLM's (docs.vllm.ai, "Custom Logits
 * Processors"): an answer is one request, its two rows stay in the running batch, and each token
 * leaves as a chunk of a stream. Nobody has built it; it is what the round trips cost.
 */
export const INSIDE = (httpMs: number = HTTP_MS): EngineModel => ({
  ...engine('inside', 0, httpMs),
  name: 'the gate inside the engine',
  // A chunk of a stream is no new request: a tenth of it.
  httpMs: httpMs / 20,
});

/**
 * A step takes at most this long, so that an answer comes at 20 tokens a second: prompts are read
 * in parts (chunked prefill).
 */
export const STEP_MS = 50;
