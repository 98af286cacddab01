/**
 * Prometheus metrics. If vLLM has the same metric, ours has the same name, so vLLM's dashboards
 * need only one word replaced.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ErrorCode } from '#shared/api/errors.ts';
import type { EndFrame, TokenFrame } from '#shared/protocol/generate.ts';
import type { Engine } from '../engine/engine.ts';

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
const TOKEN_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];
/** A tight line shows right below 1, so the buckets there are finer. */
const WEIGHTS = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1];
const NATS = [-10, -1, 0, 0.5, 1, 2, 5, 10, 20, 50, 100];

export class Metrics {
  readonly registry = new Registry();
  readonly #registers = [this.registry];
  readonly #promptTokens = this.#counter('prompt_tokens_total', 'Prompt tokens of accepted requests.');
  readonly #generationTokens = this.#counter('generation_tokens_total', 'Tokens drawn.');
  readonly #drafted = this.#counter(
    'spec_decode_num_draft_tokens_total',
    'Tokens guessed and read ahead, in answers that ended well.',
  );
  readonly #accepted = this.#counter('spec_decode_num_accepted_tokens_total', 'Those of them that were drawn.');
  readonly #success = this.#counter('request_success_total', 'Answers that ended well.', ['finished_reason']);
  readonly #failure = this.#counter('request_failure_total', 'Requests refused or broken off.', ['code']);
  readonly #cancelled = this.#counter('request_cancelled_total', 'Requests whose client left before the end.');
  readonly #resumed = this.#counter('request_resumed_total', 'Accepted requests whose answer had begun elsewhere.');
  readonly #queueTime = this.#histogram(
    'request_queue_time_seconds',
    'From the request, its body included, to its place in the batch; not of those that left before.',
    SECONDS,
  );
  readonly #firstToken = this.#histogram(
    'time_to_first_token_seconds',
    'From the request to its first token.',
    SECONDS,
  );
  readonly #perToken = this.#histogram('time_per_output_token_seconds', 'Between two tokens.', TOKEN_SECONDS);
  readonly #endToEnd = this.#histogram('e2e_request_latency_seconds', 'From the request to its end.', SECONDS);
  readonly #weight = this.#histogram('safety_weight', 'Share of the safety expert, per token.', WEIGHTS);
  readonly #spent = this.#histogram('budget_spent_nats', 'Nats spent, per answer that ended well.', NATS);

  constructor(engine: Engine) {
    const { model, provider } = engine.info;
    this.registry.setDefaultLabels({ model_name: model });
    new Gauge({
      name: 'plimsoll:engine_info',
      help: 'Always 1. Its labels say what runs the model.',
      labelNames: ['provider'],
      registers: this.#registers,
    }).set({ provider: provider ?? 'none' }, 1);
    this.#gauge('num_requests_running', 'Requests in the batch.', () => engine.stats().running);
    this.#gauge(
      'num_requests_waiting',
      'Requests waiting for a place, or for the engine to load.',
      () => engine.stats().waiting,
    );
    this.#gauge(
      'num_rows',
      'Sequences held by the model; an answer has one for each expert that it asks: one or two.',
      () => engine.stats().rows,
    );
    this.#gauge('engine_loaded', '1 if the weights are in memory, 0 if the next request has to load them.', () =>
      engine.state === 'loaded' ? 1 : 0,
    );
    this.#total(
      'engine_restarts_total',
      'How many times the engine has been started again because it failed.',
      () => engine.restarts,
    );
    this.#total(
      'memory_waits_total',
      'Requests that had to wait because memory for keys and values was short.',
      () => engine.stats().memoryWaits,
    );
    // Their unit is a token of a row: a prompt that two experts read counts twice.
    this.#total(
      'prefix_cache_queries_total',
      'Tokens of prompts that were looked for among kept prefixes.',
      () => engine.stats().prefixes.queriedTokens,
    );
    this.#total(
      'prefix_cache_hits_total',
      'Tokens of those that were found, and so not read again.',
      () => engine.stats().prefixes.foundTokens,
    );
    this.#total(
      'prefix_cache_evictions_total',
      'Tokens of kept prefixes that were forgotten to make room.',
      () => engine.stats().prefixes.forgottenTokens,
    );
    this.#gauge('prefix_cache_bytes', 'What kept prefixes take in memory.', () => engine.stats().prefixes.bytes);
  }

  /** Follows one request from now on. */
  request(now: () => number = () => performance.now() / 1000): RequestMetrics {
    const began = now();
    let isFirst = true;
    /** When each of the request's answers got its last token. */
    const last = new Map<number, number>();
    return {
      accepted: (promptTokens, { isResumed }) => {
        if (isResumed) this.#resumed.inc();
        this.#promptTokens.inc(promptTokens);
        this.#queueTime.observe(now() - began);
      },
      token: ({ weight, choice = 0 }) => {
        const at = now();
        const before = last.get(choice);
        if (isFirst) this.#firstToken.observe(at - began);
        if (before !== undefined) this.#perToken.observe(at - before);
        isFirst = false;
        last.set(choice, at);
        this.#generationTokens.inc();
        this.#weight.observe(weight);
      },
      ended: ({ finish_reason, spent, usage: { completion_tokens_details: drafts } }) => {
        if (drafts) {
          this.#drafted.inc(drafts.accepted_prediction_tokens + drafts.rejected_prediction_tokens);
          this.#accepted.inc(drafts.accepted_prediction_tokens);
        }
        this.#success.inc({ finished_reason: finish_reason });
        if (spent !== null) this.#spent.observe(spent);
        this.#endToEnd.observe(now() - began);
      },
      failed: (code) => this.#failure.inc({ code }),
      cancelled: () => this.#cancelled.inc(),
    };
  }

  #counter<L extends string = never>(name: string, help: string, labelNames: L[] = []): Counter<L> {
    return new Counter({ name: `plimsoll:${name}`, help, labelNames, registers: this.#registers });
  }

  #histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ name: `plimsoll:${name}`, help, buckets, registers: this.#registers });
  }

  /** A count that is kept elsewhere. It begins again at 0 when the engine does. */
  #total(name: string, help: string, read: () => number): void {
    new Counter({
      name: `plimsoll:${name}`,
      help,
      registers: this.#registers,
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  }

  #gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name: `plimsoll:${name}`,
      help,
      registers: this.#registers,
      collect() {
        this.set(read());
      },
    });
  }
}

export type RequestMetrics = {
  /** It has joined the batch. @param isResumed whether another backend began its answer */
  accepted(promptTokens: number, about: { isResumed: boolean }): void;
  token(frame: TokenFrame): void;
  ended(end: Pick<EndFrame, 'finish_reason' | 'spent' | 'usage'>): void;
  failed(code: ErrorCode): void;
  cancelled(): void;
};
