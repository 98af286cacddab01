/** Why the gate can draw no token at all. Anything less ends in the safety expert alone, not in an error. */
export type GateErrorCode =
  /**
   * No row, no token left in it (by its logits or by the mask), or a NaN or +Infinity among its
   * logits: there is nothing safe to fall back on.
   */
  | 'safety_row_unusable'
  /** A temperature, top-p, key, seed, mask or bias that means nothing. */
  | 'sampling_invalid'
  /** A position or a spending that no gate can have handed out. */
  | 'state_invalid'
  /**
   * Truncated rows whose ids are not ascending, or not as many as the log-probabilities, or that
   * cannot hold their top k.
   */
  | 'truncated_rows_invalid'
  /** A NaN where every way in was checked: a fault of the gate itself. No token comes of it. */
  | 'distribution_unusable';

export class GateError extends Error {
  readonly code: GateErrorCode;

  constructor(code: GateErrorCode, message: string) {
    super(message);
    this.name = 'GateError';
    this.code = code;
  }
}
