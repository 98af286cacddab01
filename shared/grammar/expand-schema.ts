/**
 * Takes a set of schemas apart into alternatives, each of them a conjunction (disjunctive normal
 * form). `$ref` and `allOf` add to a conjunction, `anyOf` and `oneOf` multiply.
 *
 * `oneOf` is taken as `anyOf`, which is right only where no value is valid under two of its
 * branches. So it is refused unless that can be shown.
 */

import { ANYTHING, both, type Conjunction, itemAt, memberOf, type Sub } from './conjunction.ts';
import { GrammarError } from './grammar-error.ts';
import { Work } from './pattern-leaf.ts';
import { readKeywords } from './read-keywords.ts';
import { isSchema, type Located, type SchemaDocument } from './schema-document.ts';
import { valueKey } from './value-key.ts';

const MOST_ALTERNATIVES = 256;
/** How deep it looks for a member that tells two branches apart. */
const MOST_APART_DEPTH = 4;

export class Expansion {
  /** What the schema's patterns cost. */
  readonly work = new Work();
  readonly #document: SchemaDocument;
  readonly #known = new Map<string, readonly Conjunction[]>();

  constructor(document: SchemaDocument) {
    this.#document = document;
  }

  /** What a value may be that is valid under all of these. None: nothing is. */
  alternatives(sub: Sub): readonly Conjunction[] {
    const key = keyOf(sub);
    let known = this.#known.get(key);
    if (known === undefined) {
      known = this.#all(sub, []);
      this.#known.set(key, known);
    }
    return known;
  }

  /** @param within the schemas that are being expanded */
  #all(sub: Sub, within: readonly string[]): Conjunction[] {
    let all: Conjunction[] = [ANYTHING];
    const seen = new Set<string>();
    for (const located of sub) {
      if (seen.has(located.pointer)) continue;
      seen.add(located.pointer);
      all = times(all, this.#one(located, within), located.pointer);
    }
    return all;
  }

  #one(located: Located, within: readonly string[]): Conjunction[] {
    const { pointer, schema } = located;
    if (schema === true) return [ANYTHING];
    if (schema === false) return [];
    if (!isSchema(schema)) {
      throw new GrammarError('is no schema: expected an object, true or false', { pointer });
    }
    // A schema that is only itself allows no value of finite length.
    if (within.includes(pointer)) return [];
    const inside = [...within, pointer];
    // The cast: it is no boolean, and a schema.
    const { $ref, allOf, anyOf, oneOf } = schema as Record<string, unknown>;
    let all: Conjunction[] = [readKeywords(located)];
    if ($ref !== undefined) all = times(all, this.#one(this.#document.resolve($ref, pointer), inside), pointer);
    for (const branch of branchesOf(allOf, `${pointer}/allOf`)) all = times(all, this.#one(branch, inside), pointer);
    if (anyOf !== undefined) {
      const branches = branchesOf(anyOf, `${pointer}/anyOf`);
      all = times(
        all,
        branches.flatMap((branch) => this.#one(branch, inside)),
        pointer,
      );
    }
    if (oneOf !== undefined) {
      const branches = branchesOf(oneOf, `${pointer}/oneOf`).map((branch) => this.#one(branch, inside));
      this.#refuseOverlap(branches, all, `${pointer}/oneOf`);
      all = times(all, branches.flat(), pointer);
    }
    return all;
  }

  /** @param beside what else holds, which may tell the branches apart */
  #refuseOverlap(branches: readonly Conjunction[][], beside: readonly Conjunction[], pointer: string): void {
    const full = branches.map((branch) => times(beside, branch, pointer));
    for (const [i, branch] of full.entries()) {
      for (const [j, other] of full.slice(i + 1).entries()) {
        if (branch.every((a) => other.every((b) => this.#apart(a, b, 0)))) continue;
        const which = `${i} and ${i + 1 + j}`;
        throw new GrammarError(
          `is only supported where no value can be valid under two of its branches, which cannot be shown for ${which}; use anyOf`,
          { pointer, unsupported: true },
        );
      }
    }
  }

  /** Whether it can be shown that no value satisfies both. */
  #apart(a: Conjunction, b: Conjunction, depth: number): boolean {
    const { types, values } = both(a, b);
    if (values !== null && a.values !== null && b.values !== null) return values.length === 0;
    return [...types].every((type) => {
      const [ofA, ofB] = [a, b].map((one) => one.values?.filter((value) => typeOf(value) === type) ?? null);
      if (ofA?.length === 0 || ofB?.length === 0) return true;
      if (type === 'number') return numbersApart(a.number, b.number);
      if (type === 'string') return Math.max(a.string.min, b.string.min) > Math.min(a.string.max, b.string.max);
      if (type === 'array') {
        const least = Math.max(a.array.min, b.array.min);
        if (least > Math.min(a.array.max, b.array.max)) return true;
        return Array.from({ length: Math.min(least, 8) }, (_, i) => i).some((i) =>
          this.#subsApart(itemAt(a, i), itemAt(b, i), depth),
        );
      }
      if (type !== 'object') return false;
      const required = new Set([...a.object.required, ...b.object.required]);
      return [...required].some((name) => this.#subsApart(memberOf(a, name), memberOf(b, name), depth));
    });
  }

  #subsApart(a: Sub, b: Sub, depth: number): boolean {
    if (depth >= MOST_APART_DEPTH) return false;
    const others = this.alternatives(b);
    return this.alternatives(a).every((one) => others.every((other) => this.#apart(one, other, depth + 1)));
  }
}

/** One key for each set of schemas. */
export const keyOf = (sub: Sub): string => [...new Set(sub.map(({ pointer }) => `#${pointer}`))].sort().join('\n');

export function typeOf(value: unknown) {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value;
}

function times(all: readonly Conjunction[], others: readonly Conjunction[], pointer: string): Conjunction[] {
  const products = all.flatMap((one) => others.map((other) => both(one, other)));
  const left = products.filter(({ types, values }) => types.size > 0 && values?.length !== 0);
  // Branches that say the same are one.
  const different = [...new Map(left.map((one) => [fingerprint(one), one])).values()];
  if (different.length > MOST_ALTERNATIVES) {
    throw new GrammarError(`has more than ${MOST_ALTERNATIVES} alternatives`, { pointer });
  }
  return different;
}

function fingerprint({ types, values, number, string, array, object }: Conjunction): string {
  const { properties, required, additional, names, ...counts } = object;
  return valueKey([
    ...[[...types].sort(), values, number, { ...string, patterns: string.patterns.map(({ name }) => name) }],
    ...[{ ...array, prefix: array.prefix.map(keyOf), items: keyOf(array.items) }, counts],
    ...[[...properties].map(([name, sub]) => [name, keyOf(sub)]), [...required], keyOf(additional), keyOf(names)],
  ]);
}

function branchesOf(branches: unknown, pointer: string): Located[] {
  if (branches === undefined) return [];
  if (!Array.isArray(branches) || branches.length === 0) {
    throw new GrammarError('is not an array of schemas', { pointer });
  }
  return branches.map((schema, i) => ({ pointer: `${pointer}/${i}`, schema }));
}

function numbersApart(a: Conjunction['number'], b: Conjunction['number']): boolean {
  const { least, most, leastExcluded, mostExcluded } = both(
    { ...ANYTHING, number: a },
    { ...ANYTHING, number: b },
  ).number;
  if (least === null || most === null) return false;
  return least > most || (least === most && (leastExcluded || mostExcluded));
}
