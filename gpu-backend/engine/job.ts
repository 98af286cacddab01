/**
 * An answer and the sequences it is made from. They are opened when it joins, fed in step, and
 * given back when it ends. This is where we decide what happens when an expert fails. Without the
 * safety expert, the answer ends. Without the other one, it goes on with the gate closed.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { Answer, Feed } from './answer.ts';
import type { EngineEvent } from './engine.ts';
import type { Experts, Output, SequenceId, Step } from './experts.ts';

export type Warn = (message: string, cause: unknown) => void;

export class Job {
  readonly id: number;
  readonly answer: Answer;
  readonly #experts: Experts;
  readonly #warn: Warn;
  /** The safety expert's comes first. The other one is dropped if it fails. */
  #sequences: SequenceId[] = [];

  constructor(id: number, answer: Answer, { experts, warn }: { experts: Experts; warn: Warn }) {
    this.id = id;
    this.answer = answer;
    this.#experts = experts;
    this.#warn = warn;
  }

  /** Opens all its sequences, or throws and leaves none open. */
  open(): void {
    try {
      for (const source of this.answer.sources) this.#sequences.push(this.#experts.open(source));
    } catch (thrown) {
      this.close();
      throw thrown;
    }
  }

  /** Gives its sequences back. After that, there is nothing left to draw from. */
  close(): void {
    for (const sequence of this.#sequences) this.#experts.close(sequence);
    this.#sequences = [];
  }

  /** One step for each sequence. */
  steps({ rows, bounds }: Feed): Step[] {
    const [safety, beside] = this.#sequences;
    return this.#sequences.map((sequence, i): Step => {
      const other = i === 0 ? beside : safety;
      return {
        sequence,
        ids: rows[i]!,
        ...(this.answer.sources[i] === 'layers' && { bounds }),
        ...(other !== undefined && { beside: other }),
        want: { hidden: this.answer.hidden && beside !== undefined },
      };
    });
  }

  /**
   * Takes the settled steps and returns each expert's output. `beside` is null if that expert
   * failed, now or earlier.
   */
  take(results: readonly PromiseSettledResult<Output>[]): { safety: Output; beside: Output | null } {
    const [safety, beside] = results;
    if (safety?.status !== 'fulfilled') {
      throw new PlimsollError('expert_failed', 'The model failed to run.', { cause: safety?.reason });
    }
    if (beside?.status === 'fulfilled') return { safety: safety.value, beside: beside.value };
    for (const sequence of this.#sequences.splice(1)) {
      this.#warn(`answer ${this.id} goes on without its expert ${this.answer.sources[1]}`, beside?.reason);
      this.#experts.close(sequence);
    }
    return { safety: safety.value, beside: null };
  }

  /**
   * Draws the next token from the settled steps and returns its events. Throws if the answer cannot
   * go on.
   */
  draw(results: readonly PromiseSettledResult<Output>[]): EngineEvent[] {
    const { safety, beside } = this.take(results);
    return this.answer.draw(safety, beside);
  }
}
