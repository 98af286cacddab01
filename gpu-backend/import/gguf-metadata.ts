import type { MetadataValue } from '#gpu-backend/gguf/metadata-value.ts';
import type { GgufSource } from '#gpu-backend/gguf/open-gguf.ts';
import { CheckpointError } from '#gpu-backend/model/checkpoint-error.ts';

/** Reads the metadata of a GGUF file by type. An error names the value that is missing or wrong. */
export class GgufMetadata {
  readonly file: string;
  readonly #values: ReadonlyMap<string, MetadataValue>;

  constructor({ file, metadata }: Pick<GgufSource, 'file' | 'metadata'>) {
    this.file = file;
    this.#values = metadata;
  }

  keys(): string[] {
    return [...this.#values.keys()];
  }

  text(key: string): string | undefined {
    const value = this.#values.get(key);
    if (value === undefined || typeof value === 'string') return value;
    return this.refuse(key, 'a text');
  }

  number(key: string): number | undefined {
    const value = this.#values.get(key);
    const number = typeof value === 'bigint' ? Number(value) : value;
    if (number === undefined || (typeof number === 'number' && Number.isFinite(number))) return number;
    return this.refuse(key, 'a number');
  }

  boolean(key: string): boolean | undefined {
    const value = this.#values.get(key);
    if (value === undefined || typeof value === 'boolean') return value;
    return this.refuse(key, 'true or false');
  }

  texts(key: string): string[] | undefined {
    return this.#list(key, 'a list of texts', (item): item is string => typeof item === 'string');
  }

  numbers(key: string): number[] | undefined {
    return this.#list(key, 'a list of numbers', (item): item is number => typeof item === 'number');
  }

  /** A value that must be there. */
  needed<T>(key: string, value: T | undefined): T {
    return value === undefined ? this.refuse(key, 'this key') : value;
  }

  /** Throws. `found` is the value of the key, unless it is given. */
  refuse(key: string, wanted: string, found?: string): never {
    throw new CheckpointError(this.file, { key, found: found ?? shown(this.#values.get(key)), wanted });
  }

  #list<T extends MetadataValue>(key: string, wanted: string, is: (item: MetadataValue) => item is T): T[] | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    return Array.isArray(value) && value.every(is) ? value : this.refuse(key, wanted);
  }
}

function shown(value: MetadataValue | undefined): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return (typeof value === 'string' ? JSON.stringify(value) : String(value)).slice(0, 80);
}
