/**
 * Thrown when a signal stopped a run and its checkpoint is saved. The program then exits with
 * `exitCode`.
 */
export class StoppedBySignal extends Error {
  override readonly name = 'StoppedBySignal';
  /** The exit code that a shell reports for a program killed by SIGINT: 128 + 2. */
  readonly exitCode = 130;
}
