/**
 * The answers of one request, seen from outside: the request starts with the first of them and is
 * over with the last. Each has an end with its own account; the last end also has the sum.
 */
import type { Usage } from '#shared/api/chat-answer.ts';
import type { EngineEvent } from './engine.ts';

export class Choices {
  readonly #count: number;
  #remaining: number;
  #drawn = 0;
  /** Of the answers so far, the fewest. */
  #cached = Number.POSITIVE_INFINITY;
  #guesses: Usage['completion_tokens_details'];
  #hasStarted = false;
  #hasWaitedForMemory = false;

  /** @param count how many answers the request is for */
  constructor(count: number) {
    this.#count = count;
    this.#remaining = count;
  }

  get areOver(): boolean {
    return this.#remaining === 0;
  }

  /** True the first time, when the first answer joins the batch. */
  start(): boolean {
    const isFirst = !this.#hasStarted;
    this.#hasStarted = true;
    return isFirst;
  }

  /** True the first time, when one of the answers has to wait for memory. */
  noteMemoryWait(): boolean {
    const isFirst = !this.#hasWaitedForMemory;
    this.#hasWaitedForMemory = true;
    return isFirst;
  }

  /** The events of one of the answers, as its client gets them. */
  count(events: readonly EngineEvent[]): EngineEvent[] {
    return events.map((event) => {
      if (event.type !== 'end' || this.#count === 1) {
        if (event.type === 'end') this.#remaining = 0;
        return event;
      }
      this.#remaining--;
      this.#drawn += event.usage.completion_tokens;
      this.#cached = Math.min(this.#cached, event.usage.prompt_tokens_details?.cached_tokens ?? 0);
      this.#countGuesses(event.usage.completion_tokens_details);
      return this.#remaining > 0
        ? { ...event, remaining: this.#remaining }
        : { ...event, total: this.#total(event.usage.prompt_tokens) };
    });
  }

  #countGuesses(more: Usage['completion_tokens_details']): void {
    if (!more) return;
    const { accepted_prediction_tokens: accepted = 0, rejected_prediction_tokens: rejected = 0 } = this.#guesses ?? {};
    this.#guesses = {
      accepted_prediction_tokens: accepted + more.accepted_prediction_tokens,
      rejected_prediction_tokens: rejected + more.rejected_prediction_tokens,
    };
  }

  /** The prompt counts once. */
  #total(prompt: number): Usage {
    return {
      prompt_tokens: prompt,
      completion_tokens: this.#drawn,
      total_tokens: prompt + this.#drawn,
      prompt_tokens_details: { cached_tokens: this.#cached },
      ...(this.#guesses && { completion_tokens_details: this.#guesses }),
    };
  }
}
