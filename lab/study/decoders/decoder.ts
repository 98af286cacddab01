/** The contract of a decoder that is not the gate. */
import type { Shape } from '#shared/gate/shape-distribution.ts';

type Rows = {
  /** log p of each expert, [V], not shaped. */
  safety: Float64Array;
  helpfulness: Float64Array;
};

/** How the study samples: temperature, top-p, and the tokens that no answer may contain. */
export type DecoderSampling = Pick<Shape, 'topP' | 'mask'> & {
  /** Above 0. */
  temperature: number;
};

type Decoded = {
  /** log q of the next token, [V]. */
  logprobs: Float64Array;
  /** The safety expert's share, or 1 where it steers and 0 where it does not. */
  weight: number;
  /** Nats spent so far, this token included; null if the decoder has no budget. */
  spent: number | null;
};

/** The state of one answer. `next` is called once for each token, in order. */
export interface Decoding {
  next(rows: Rows): Decoded;
}

export interface Decoder {
  /**
   * Whether it wants `promptLogRatios`: log p_helpfulness - log p_safety of each token of the
   * prompt that is text, in nats, without the first.
   */
  readsPrompt: boolean;
  start(options: { sampling: DecoderSampling; promptLogRatios: readonly number[] }): Decoding;
}
