/** It cannot be told whether a receipt is genuine, which does not mean that it is not. */
export class CannotCheck extends Error {
  override readonly name = 'CannotCheck';
  readonly exitCode = 2;
}
