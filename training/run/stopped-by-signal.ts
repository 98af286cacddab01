/**
 * Thrown after a run was told to stop and has saved its checkpoint. The program then ends with
 * `exitCode`.
 */
export class StoppedBySignal extends Error {
  override readonly name = 'StoppedBySignal';
  /** What a shell reports for a program that SIGINT ended: 128 + 2. */
  readonly exitCode = 130;
}
