/**
 * A file could not be written: the disk is full, or a limit or a permission forbids it. Node's own
 * message names no file.
 */
export class WriteError extends Error {
  override readonly name = 'WriteError';

  constructor(file: string, cause: unknown) {
    super(`${file} cannot be written: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}
