/** It cannot be told whether a receipt is genuine. That is not the same as a receipt that is not. */
export class CannotCheck extends Error {
  override readonly name = 'CannotCheck';
  readonly exitCode = 2;
}
