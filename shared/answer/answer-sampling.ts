/**
 * What the gate is told about sampling, token by token. Some of it stays the same for the whole
 * answer (temperature, top-p, top-k, min-p). The rest follows the answer: penalties for what it has
 * said, the tokens that a mask allows, and whether it may end yet.
 *
 * Whatever the client wishes for words (biases, penalties) shapes the mixture alone. What can be
 * said at all (masks) shapes the safety expert too. docs/sampling.md says what each does to the
 * budget's promise.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import { type DrawKey, isAllowed, penaltyBias, repetitionScale, type SamplingParams } from '#shared/gate/index.ts';
import type { Grammar } from '#shared/grammar/grammar.ts';
import type { TokenMask } from './token-mask.ts';
import type { Vocabulary } from './vocabulary.ts';

/**
 * How to draw. `temperature`, `topP`, `topK` and `minP` are the gate's (gate-types.ts). Whatever is
 * left out changes nothing. shared/protocol/generate.ts says what each one does.
 */
export type RequestedSampling = {
  temperature: number;
  topP: number;
  topK?: number;
  minP?: number;
  presencePenalty?: number;
  frequencyPenalty?: number;
  repetitionPenalty?: number;
  /** Nats by token id. */
  logitBias?: ReadonlyMap<number, number>;
  /** At least one. */
  allowedIds?: readonly number[];
  /** What the answer's text must look like. */
  grammar?: Grammar;
};

type SampledRequest = {
  sampling: RequestedSampling;
  /** The client's tokens. Only a repetition penalty looks at them. */
  promptIds: readonly number[];
  minTokens?: number;
  /** The tokens that the answer has already. */
  resume?: { ids: readonly number[] };
};

type Options = {
  key: DrawKey;
  vocabulary: Pick<Vocabulary, 'banned' | 'eos'>;
  mask: TokenMask | null;
};

export class AnswerSampling {
  readonly #shape: Pick<SamplingParams, 'key' | 'temperature' | 'topP' | 'topK' | 'minP'>;
  readonly #penalties: Parameters<typeof penaltyBias>[1];
  readonly #repetitionPenalty: number;
  readonly #minTokens: number;
  /** What no answer may contain: without the ends, and with them. */
  readonly #banned: ReadonlySet<number>;
  readonly #bannedWithEnds: ReadonlySet<number>;
  readonly #mask: TokenMask | null;
  /** How often the answer has each token. */
  readonly #counts = new Map<number, number>();
  /** The repetition penalty of each token that the client's prompt or the answer has. */
  readonly #scale: Map<number, number>;
  #drawn = 0;

  /** Throws a PlimsollError if the mask leaves no token to begin with. */
  constructor(request: SampledRequest, { key, vocabulary, mask }: Options) {
    const { sampling, promptIds, minTokens = 0, resume } = request;
    const { temperature, topP, topK = 0, minP = 0, repetitionPenalty = 1 } = sampling;
    const { presencePenalty = 0, frequencyPenalty = 0, logitBias = new Map() } = sampling;
    this.#shape = { key, temperature, topP, topK, minP };
    this.#penalties = { presencePenalty, frequencyPenalty, logitBias };
    this.#repetitionPenalty = repetitionPenalty;
    this.#minTokens = minTokens;
    this.#banned = new Set(vocabulary.banned);
    this.#bannedWithEnds = new Set([...vocabulary.banned, ...vocabulary.eos]);
    this.#mask = mask;
    // Not what an expert reads besides the client's tokens: that is nobody's business.
    this.#scale = repetitionScale(promptIds, repetitionPenalty);
    for (const id of resume?.ids ?? []) this.accept(id);
    const allowed = this.#mask?.allowed();
    if (allowed && !leavesToken(allowed, this.#banned)) {
      throw new PlimsollError('invalid_request', 'The request allows no token that an answer may contain.');
    }
  }

  /**
   * The parameters of the next draw.
   *
   * Throws a PlimsollError if the mask leaves no token: it would leave none on any backend.
   *
   * @param saysSomething whether the answer has a word yet; before that, it may not end
   */
  next({ saysSomething }: { saysSomething: boolean }): SamplingParams {
    const allowed = this.#mask?.allowed();
    if (allowed && !leavesToken(allowed, this.#banned)) {
      throw new PlimsollError(
        'unsupported_value',
        "The answer was stopped: no token of the model's vocabulary goes on as the request's grammar wants it.",
      );
    }
    // A mask that leaves nothing but an end has the last word: a grammar may be complete.
    const mayEnd =
      (saysSomething && this.#drawn >= this.#minTokens) || (allowed && !leavesToken(allowed, this.#bannedWithEnds));
    return {
      ...this.#shape,
      mask: mayEnd ? this.#banned : this.#bannedWithEnds,
      ...(allowed && { allowed }),
      scale: this.#scale,
      bias: penaltyBias(this.#counts, this.#penalties),
    };
  }

  /** The answer goes on with this token. */
  accept(id: number): void {
    this.#drawn++;
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    if (this.#repetitionPenalty !== 1) this.#scale.set(id, this.#repetitionPenalty);
    this.#mask?.accept(id);
  }
}

function leavesToken(allowed: Uint32Array, banned: ReadonlySet<number>): boolean {
  for (let word = 0; word < allowed.length; word++) {
    if (allowed[word] === 0) continue;
    for (let id = 32 * word; id < 32 * (word + 1); id++) if (isAllowed(allowed, id) && !banned.has(id)) return true;
  }
  return false;
}
