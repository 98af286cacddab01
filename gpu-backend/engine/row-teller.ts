/**
 * An expert whose rows somebody else draws from. It tells a row at each position and waits to be
 * told what was drawn there. With `ahead`, it does not wait: it guesses the draw by what it would
 * draw itself, and goes on. The safety expert has the answer's own random numbers: where it and the
 * mixture agree, the same number draws the same token. The helpfulness expert must not have them,
 * and its request asks for the likeliest token (temperature 0). A wrong guess is taken
 * back and costs the runs after it, never another token: a row counts only after exactly the tokens
 * that were drawn.
 */
import { AnswerSampling } from '#shared/answer/answer-sampling.ts';
import type { Vocabulary } from '#shared/answer/vocabulary.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { GateError, type GatePolicy } from '#shared/gate/index.ts';
import type { ExpertRow } from '#shared/protocol/expert-messages.ts';
import type { ExpertRole } from '../model/manifest.ts';
import { askGate } from './ask-gate.ts';
import type { EngineRequest, RowsWish, TakenToken } from './engine.ts';
import type { Prediction, Row } from './experts.ts';
import { allowedTokens } from './token-mask.ts';
import { truncateRow } from './truncate-row.ts';

/** An expert's half of a logits router's first layer, from its hidden state [d]. */
export type HalfOf = (role: ExpertRole, hidden: Float32Array) => Float64Array;

/** Lets the row's own expert draw, whichever it is. */
const ALONE: GatePolicy = {
  floor: 1,
  ceiling: 1,
  opening: { tokens: 0, floor: 1 },
  rule: 'geometric',
  budget: null,
  earned: null,
};

export class RowTeller {
  /** Whether it waits to be told what was drawn. */
  pauses = false;
  hasTold = false;
  readonly #wish: RowsWish;
  readonly #halfOf: HalfOf | undefined;
  readonly #sampling: AnswerSampling;
  readonly #ends: ReadonlySet<number>;
  #epoch = 0;
  /** How many tokens have been drawn, as far as we were told. */
  #known: number;
  /** Where the next row is told. Nothing was drawn there yet, though a guess may stand before. */
  #next: number;

  /** @param said the tokens that the answer has already */
  constructor(
    request: EngineRequest,
    { vocabulary, halfOf, said }: { vocabulary: Vocabulary; halfOf: HalfOf | undefined; said: readonly number[] },
  ) {
    if (request.rows === undefined) throw new Error('the request asks for no rows');
    this.#wish = request.rows;
    this.#halfOf = halfOf;
    // Guesses do not follow what was said, so penalties make them worse. They make nothing wrong.
    const { promptIds, sampling } = request;
    const mask = allowedTokens(request);
    this.#sampling = new AnswerSampling({ promptIds, sampling }, { key: sampling.key, vocabulary, mask });
    this.#ends = new Set(vocabulary.eos);
    this.#known = said.length;
    this.#next = said.length;
  }

  /**
   * The row after these ids. Adds the guess to them, if it goes on.
   *
   * @param most how many tokens the answer may have
   */
  tell(ids: number[], { row, hidden }: Prediction, { most }: { most: number }): ExpertRow {
    const position = ids.length;
    this.#next = position + 1;
    const { expert, ahead } = this.#wish;
    const mayGoOn = position < this.#known + ahead && position + 1 < most;
    const draft = mayGoOn ? this.#guess(row, position) : null;
    if (draft !== null) ids.push(draft);
    this.pauses = draft === null;
    this.hasTold = true;
    const half = hidden && this.#halfOf ? this.#halfOf(expert, hidden) : new Float64Array();
    return { epoch: this.#epoch, position, draft, half, ...this.#cut(row) };
  }

  /** See `Answer.take`. */
  take(ids: number[], { at, id, epoch }: TakenToken): boolean {
    if (at >= this.#next) {
      const message = `A token was drawn at ${at}, and the next row is that of ${this.#next}.`;
      throw new PlimsollError('invalid_request', message);
    }
    this.#known = Math.max(this.#known, at + 1);
    if (ids[at] === id) return false;
    const isNext = at === ids.length;
    ids.length = at;
    ids.push(id);
    this.#next = at + 1;
    this.#epoch = epoch;
    this.pauses = false;
    return !isNext;
  }

  /** What the expert would draw; null if that is no token to go on after. */
  #guess(row: Row, position: number): number | null {
    try {
      const { token } = askGate({
        mode: 'logits',
        safety: { row, hidden: null, alpha: null },
        beside: null,
        proposal: 1,
        policy: ALONE,
        sampling: this.#sampling.next({ saysSomething: position > 0 }),
        state: { position, spent: 0 },
        ownLogprobs: false,
      });
      return this.#ends.has(token) ? null : token;
    } catch (thrown) {
      // Whoever draws from the row will find out.
      if (thrown instanceof GateError) return null;
      throw thrown;
    }
  }

  #cut(row: Row) {
    const { topK } = this.#wish;
    if (!('logits' in row)) throw new Error('the experts have no whole rows to tell of');
    if (topK === null) return { logits: row.logits };
    const { ids, logprobs } = truncateRow(row.logits, { beside: null, k: topK });
    // What the gate takes is a sum too. Taking the difference keeps both to 1 together.
    const left = Math.max(0, 1 - logprobs.reduce((sum, lp) => sum + Math.exp(lp), 0));
    return { ids, logprobs, left };
  }
}
