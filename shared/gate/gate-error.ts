/**
 * Why the gate can draw no token at all. Lesser problems are not errors. They only close the gate,
 * so that the safety expert draws alone.
 */
export type GateErrorCode =
  /**
   * No row, no token left in it (by its logits or by the mask), or a NaN or +Infinity in its
   * logits. There is nothing safe to fall back on.
   */
  | 'safety_row_unusable'
  /** The safety expert was not asked for a token, and the line needs it. */
  | 'safety_row_missing'
  /** As `safety_row_unusable`, for the helpfulness expert where only that one was asked. */
  | 'helpful_row_unusable'
  /** A temperature, top-p, key, seed, mask or bias that makes no sense. */
  | 'sampling_invalid'
  /** A position or a spending that no gate could have returned. */
  | 'state_invalid'
  /**
   * Truncated rows whose ids do not ascend or do not match the log-probabilities in number, or that
   * cannot hold their top k.
   */
  | 'truncated_rows_invalid'
  /**
   * A NaN, or a token beyond the cap, although every input was checked: a fault of the gate itself.
   * There is no step.
   */
  | 'distribution_unusable';

export class GateError extends Error {
  readonly code: GateErrorCode;

  constructor(code: GateErrorCode, message: string) {
    super(message);
    this.name = 'GateError';
    this.code = code;
  }
}
