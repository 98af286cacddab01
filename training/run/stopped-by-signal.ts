/** Thrown once a run has saved its checkpoint because it was told to stop. The program then ends with `exitCode`. */
export class StoppedBySignal extends Error {
  override readonly name = 'StoppedBySignal';
  /** What a shell gives a program that SIGINT ended: 128 + 2. */
  readonly exitCode = 130;
}
