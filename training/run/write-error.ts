/**
 * Thrown if a file cannot be written because the disk is full, or because of a limit or missing
 * permission. Node's own message does not name the file.
 */
export class WriteError extends Error {
  override readonly name = 'WriteError';

  constructor(file: string, cause: unknown) {
    const message = cause instanceof Error ? cause.message : String(cause);
    // Some causes name the file themselves.
    super(`${file} cannot be written: ${message.replace(`${file}: `, '')}`, { cause });
  }
}
