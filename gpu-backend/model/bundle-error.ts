/**
 * A bundle that cannot be used. The message names first the file, then the tensor or field, then
 * what was found and what was wanted.
 */
export class BundleError extends Error {
  override readonly name: string = 'BundleError';
  readonly file: string;

  constructor(file: string, problem: string, options: { cause?: unknown } = {}) {
    super(`${file}: ${problem}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.file = file;
  }
}
