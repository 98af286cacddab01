import { BundleError } from './bundle-error.ts';

export type CheckpointFault = {
  /** The tensor or field at fault; left out if the fault concerns the file as a whole. */
  key?: string;
  /** What kind of fault it is, where `found` and `wanted` do not say so themselves. */
  what?: string;
  found: string;
  wanted: string;
};

/** What a file claims may be megabytes long. */
const short = (text: string) => (text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}...` : text);
const MOST_CHARACTERS = 300;

/** A file of weights that is not what its format says. The message has all of its fields. */
export class CheckpointError extends BundleError {
  override readonly name = 'CheckpointError';
  readonly key: string | undefined;
  readonly found: string;
  readonly wanted: string;

  constructor(file: string, { key, what, found, wanted }: CheckpointFault, options: { cause?: unknown } = {}) {
    const where = [key, what].filter((part) => part !== undefined);
    const said = short(found);
    super(file, [...where, `found ${said}, wanted ${wanted}`].join(': '), options);
    this.key = key;
    this.found = said;
    this.wanted = wanted;
  }
}
