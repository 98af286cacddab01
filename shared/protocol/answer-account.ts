/**
 * The account of one answer, as the frames of its backends tell it. Tokens count only once a
 * backend has vouched for them. From there, another backend can go on.
 *
 *     const account = new AnswerAccount(frameKey);
 *     account.begin({ directive, start });
 *     account.push(tokenFrame);
 *     const tokens = await account.vouch(); // null: the MAC is wrong
 *     account.resume; // what the directive for the next backend says
 */
import type { CryptoKey } from 'jose';
import type { LookReport, WeightSummary } from '#shared/api/plimsoll-extension.ts';
import { addWeight, NO_WEIGHTS, type RunningWeights } from '#shared/gate/index.ts';
import type { AnswerPart } from './answer-part.ts';
import type { Directive } from './directive.ts';
import type { MacBytes } from './frame-mac.ts';
import type { Frame, TokenFrame } from './generate.ts';
import { IdBytes } from './ids-digest.ts';
import type { Ran } from './ran.ts';
import { isVouched, macBytesOf, partsBefore, type ResumeState } from './resume.ts';
import { sha256Hex } from './sha256.ts';

type Start = Pick<Extract<Frame, { type: 'start' }>, 'bundle' | 'draws' | 'backend'>;

/** A backend at work on the answer. */
type Part = {
  directive: Omit<Directive, 'resume'>;
  start: Start;
  from: number;
  before: readonly AnswerPart[];
  /** What all its MACs begin with, once it is known. */
  context: MacBytes | null;
};

/** The last frame that a backend has vouched for. */
type Vouched = { part: Part; spent: number | null; weights: RunningWeights; ran: Ran; mac: string };

export class AnswerAccount {
  readonly #key: CryptoKey;
  readonly #choice: number;
  readonly #ids = new IdBytes();
  #part: Part | null = null;
  #vouched: Vouched | null = null;
  #secondLook: LookReport | null = null;
  #pending: TokenFrame[] = [];

  /**
   * @param key see `importFrameKey`
   * @param choice which of the request's answers this is, from 0
   */
  constructor(key: CryptoKey, { choice = 0 }: { choice?: number } = {}) {
    this.#key = key;
    this.#choice = choice;
  }

  /** How many tokens have been vouched for. */
  get position(): number {
    return this.#vouched?.weights.count ?? 0;
  }

  /** Whether there are tokens that nobody has vouched for yet. */
  get isBehind(): boolean {
    return this.#pending.length > 0;
  }

  /** What came of the answer's tokens; null before the first. */
  get soFar(): { spent: number | null; weights: WeightSummary; ran: Ran } | null {
    if (this.#vouched === null) return null;
    const { spent, weights, ran } = this.#vouched;
    return { spent, weights: { min: weights.min, mean: weights.mean, max: weights.max }, ran };
  }

  /** What the second look had found by the first token. */
  get secondLook(): LookReport | null {
    return this.#secondLook;
  }

  /** A backend begins the answer, or goes on from here. What nobody vouched for is dropped. */
  async begin({
    directive: { resume: _, ...directive },
    start,
  }: {
    directive: Directive;
    start: Start;
  }): Promise<void> {
    this.#pending = [];
    const before = await this.resume();
    this.#part = {
      directive,
      start,
      from: this.position,
      before: before === null ? [] : partsBefore(before),
      context: null,
    };
  }

  /** The next token. */
  push(token: TokenFrame): void {
    this.#pending.push(token);
  }

  /**
   * Returns the tokens that the backend has vouched for since the last call. It checks the last MAC
   * only: that one covers all tokens before. null if it is wrong; then none of them counts.
   */
  async vouch(): Promise<TokenFrame[] | null> {
    const last = this.#pending.findLastIndex(({ mark }) => mark !== undefined);
    const mark = this.#pending[last]?.mark;
    const part = this.#part;
    if (mark === undefined || part === null) return [];
    const tokens = this.#pending.splice(0, last + 1);
    const position = this.position;
    const secondLook = position === 0 ? (tokens[0]?.mark?.second_look ?? null) : this.#secondLook;
    let weights = this.#vouched?.weights ?? NO_WEIGHTS;
    for (const token of tokens) {
      this.#ids.push(token.id);
      weights = addWeight(weights, token.weight);
    }
    part.context ??= await contextOf(part, { secondLook, choice: this.#choice });
    const { mac, ran } = mark;
    const { spent } = tokens.at(-1)!;
    const account = { position: weights.count, spent, weights, ran };
    if (!(await isVouched(account, { mac, ids: this.#ids, context: part.context, key: this.#key }))) {
      this.#ids.cut(position);
      return null;
    }
    this.#vouched = { part, spent, weights, ran, mac };
    this.#secondLook = secondLook;
    return tokens;
  }

  /** The ids of the tokens that have been vouched for. */
  ids(): number[] {
    return this.#ids.ids();
  }

  /** From where another backend goes on; null if nothing is there yet, so that it begins anew. */
  async resume(): Promise<ResumeState | null> {
    if (this.#vouched === null) return null;
    const { part, spent, weights, ran, mac } = this.#vouched;
    const { bundle, draws, backend } = part.start;
    const { count, min, mean, max } = weights;
    return {
      bundle,
      draws,
      backend,
      directive: part.directive.id,
      from: part.from,
      parts: [...part.before],
      second_look: this.#secondLook,
      position: count,
      ids_digest: await sha256Hex(this.#ids.bytes()),
      spent,
      weights: { min, mean, max },
      ran,
      mac,
      ...(this.#choice > 0 && { choice: this.#choice }),
    };
  }

  /** What a receipt must say of who drew what; empty if one backend did it all. */
  parts(): AnswerPart[] {
    const part = this.#part;
    if (part === null || part.before.length === 0) return [];
    const { directive, start, from, before } = part;
    const spent = this.#vouched?.spent ?? null;
    return [...before, { backend: start.backend, directive: directive.id, from, to: this.position, spent }];
  }
}

function contextOf(
  { directive, start, from, before }: Part,
  about: { secondLook: LookReport | null; choice: number },
): Promise<MacBytes> {
  const { bundle, draws, backend } = start;
  return macBytesOf({ directive, bundle, draws, backend, from, parts: before, ...about });
}
