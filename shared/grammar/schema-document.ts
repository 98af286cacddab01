/**
 * A JSON Schema as a document: its parts by JSON pointer, what `$ref` refers to, and how large it
 * may be. A schema costs work before any token is drawn, so its size has bounds, as OpenAI's have.
 */

import { MOST_SCHEMA_CHARACTERS } from './grammar.ts';
import { GrammarError, quoted } from './grammar-error.ts';

/** A schema, or a part of one: an object, or true or false. */
export type Located = {
  readonly pointer: string;
  readonly schema: unknown;
  /** Whether a value must not be valid under it. */
  readonly negated?: boolean;
};

/** Tells parts of one schema apart. */
export const markOf = ({ pointer, negated = false }: Located): string => (negated ? `not ${pointer}` : pointer);

/** What a schema may have at most. docs/structured-output.md tells. */
const SCHEMA_LIMITS = { characters: MOST_SCHEMA_CHARACTERS, depth: 32, properties: 2_000, values: 1_000 };

/** What the members of an object in a schema are. */
type Holds = 'keywords' | 'schemas' | 'value';

function holdsOf(outer: Holds, key: string): Holds {
  if (outer === 'value') return 'value';
  if (outer === 'schemas') return 'keywords';
  if (key === 'enum' || key === 'const') return 'value';
  return key === 'properties' || key === '$defs' || key === 'definitions' ? 'schemas' : 'keywords';
}

export class SchemaDocument {
  readonly root: Located;
  readonly #anchors = new Map<string, Located>();
  #properties = 0;
  #values = 0;

  /** Throws a GrammarError if the text is no JSON, or too large. */
  constructor(text: string) {
    if (text.length > SCHEMA_LIMITS.characters) {
      throw new GrammarError(`has ${text.length} characters: expected at most ${SCHEMA_LIMITS.characters}`);
    }
    let schema: unknown;
    try {
      schema = JSON.parse(text);
    } catch (cause) {
      throw new GrammarError(`is not JSON (${(cause as Error).message})`);
    }
    this.root = { pointer: '', schema };
    this.#measure(this.root, { depth: 0, holds: 'keywords' });
  }

  /** Throws a GrammarError if it refers to something outside, or to nothing. */
  resolve(reference: unknown, at: string): Located {
    const refuse = (problem: string, unsupported: boolean) =>
      new GrammarError(problem, { pointer: `${at}/$ref`, unsupported });
    if (typeof reference !== 'string') throw refuse('is not a text', false);
    const named = quoted(reference);
    if (!reference.startsWith('#'))
      throw refuse(`is ${named}: only parts of the same schema ("#/...") can be used`, true);
    const fragment = decode(reference.slice(1));
    if (fragment === null) throw refuse(`is ${named}, which is no JSON pointer`, false);
    const found = fragment === '' || fragment.startsWith('/') ? this.#find(fragment) : this.#anchors.get(fragment);
    if (found === undefined) throw refuse(`is ${named}, and the schema has no such part`, false);
    return found;
  }

  #find(pointer: string): Located | undefined {
    let schema: unknown = this.root.schema;
    for (const key of pointer.split('/').slice(1).map(unescapeKey)) {
      if (typeof schema !== 'object' || schema === null || !Object.hasOwn(schema, key)) return undefined;
      // The cast: it is an object that has this key.
      schema = (schema as Record<string, unknown>)[key];
    }
    return isSchema(schema) ? { pointer, schema } : undefined;
  }

  /** Counts what the schema has, in its values too: nothing of it may be without a bound. */
  #measure({ pointer, schema: value }: Located, { depth, holds }: { depth: number; holds: Holds }): void {
    if (depth > 2 * SCHEMA_LIMITS.depth) {
      throw new GrammarError(`has more than ${SCHEMA_LIMITS.depth} schemas in each other`, { pointer });
    }
    if (typeof value !== 'object' || value === null) return;
    // Each member of a constant is a property that an answer writes.
    if (holds === 'value' && !Array.isArray(value)) this.#properties += Object.keys(value).length;
    for (const [key, part] of Object.entries(value)) {
      const at = `${pointer}/${escapeKey(key)}`;
      if (key === 'properties' && typeof part === 'object' && part !== null)
        this.#properties += Object.keys(part).length;
      if (key === 'enum' && Array.isArray(part)) this.#values += part.length;
      if (key === '$anchor' && typeof part === 'string') this.#anchors.set(part, { pointer, schema: value });
      this.#measure({ pointer: at, schema: part }, { depth: depth + 1, holds: holdsOf(holds, key) });
    }
    if (pointer !== '') return;
    this.#refuseMore('properties', this.#properties);
    this.#refuseMore('values', this.#values);
  }

  #refuseMore(what: 'properties' | 'values', count: number): void {
    const most = SCHEMA_LIMITS[what];
    const name = what === 'values' ? 'values in enum' : what;
    if (count > most) throw new GrammarError(`has ${count} ${name}: expected at most ${most}`);
  }
}

export const isSchema = (value: unknown): boolean =>
  typeof value === 'boolean' || (typeof value === 'object' && value !== null && !Array.isArray(value));

export const escapeKey = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1');
const unescapeKey = (key: string) => key.replaceAll('~1', '/').replaceAll('~0', '~');

function decode(fragment: string): string | null {
  try {
    return decodeURIComponent(fragment);
  } catch {
    return null;
  }
}
