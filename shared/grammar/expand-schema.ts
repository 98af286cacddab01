/**
 * Takes a set of schemas apart into alternatives, each of them a conjunction (disjunctive normal
 * form). `$ref` and `allOf` add to a conjunction, `anyOf` and `oneOf` multiply.
 *
 * `oneOf` is taken as `anyOf`, which is right only where no value is valid under two of its
 * branches. So it is refused unless that can be shown.
 */

import { ANYTHING, both, type Conjunction, commonValues, itemAt, memberOf, type Sub } from './conjunction.ts';
import { branchesOf, type Expander } from './expander.ts';
import { GrammarError } from './grammar-error.ts';
import { maybeWithin } from './inexact-numbers.ts';
import type { Leaf } from './leaf.ts';
import { negation, withDependencies } from './negation.ts';
import { readKeywords } from './read-keywords.ts';
import { isSchema, type Located, markOf, type SchemaDocument } from './schema-document.ts';
import { valueKey } from './value-key.ts';
import type { Work } from './work.ts';

const MOST_ALTERNATIVES = 256;
/** How deep it looks for a member that tells two branches apart. */
const MOST_APART_DEPTH = 4;

/** How a mark of a negated schema begins. */
const NOT = 'not ';

export class Expansion {
  /** What all of it costs. */
  readonly work: Work;
  /** The automata of strings and numbers, by what they accept. null: nothing. */
  readonly leaves = new Map<string, Leaf | null>();
  readonly #document: SchemaDocument;
  readonly #known = new Map<string, readonly Conjunction[]>();
  /** Of schemas that do not contain themselves: what they are is the same wherever they stand. */
  readonly #alone = new Map<string, readonly Conjunction[]>();
  readonly #keywords = new Map<string, Conjunction>();
  /** How often a schema was found within itself. */
  #cycles = 0;

  constructor(document: SchemaDocument, work: Work) {
    this.#document = document;
    this.work = work;
  }

  /** What a value may be that is valid under all of these. None: nothing is. */
  alternatives(sub: Sub): readonly Conjunction[] {
    this.work.spend(subCost(sub));
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
      if (seen.has(markOf(located))) continue;
      seen.add(markOf(located));
      all = this.#times(all, this.#one(located, within), located.pointer);
    }
    return all;
  }

  #one(located: Located, within: readonly string[]): readonly Conjunction[] {
    const { pointer, schema, negated = false } = located;
    const mark = markOf(located);
    if (schema === !negated) return [ANYTHING];
    if (schema === negated) return [];
    if (!isSchema(schema)) {
      throw new GrammarError('is no schema: expected an object, true or false', { pointer });
    }
    // A schema that is only itself allows no value of finite length.
    this.work.spend(5 + within.length);
    if (within.includes(mark)) {
      // What is not itself is neither valid nor invalid.
      if (within.some((one) => one.startsWith(NOT)))
        throw new GrammarError('refers to itself through not', { pointer });
      this.#cycles++;
      return [];
    }
    const known = this.#alone.get(mark);
    if (known !== undefined) return known;
    const before = this.#cycles;
    const inside = [...within, mark];
    const all = negated ? negation(located, this.#expander(inside)) : this.#parts(located, inside);
    if (this.#cycles === before) this.#alone.set(mark, all);
    return all;
  }

  #expander(within: readonly string[]): Expander {
    return {
      work: this.work,
      one: (located) => this.#one(located, within),
      times: (all, others, pointer) => this.#times(all, others, pointer),
      resolve: (reference, at) => this.#document.resolve(reference, at),
    };
  }

  /** @param inside the schemas that are being expanded, this one too */
  #parts(located: Located, inside: readonly string[]): readonly Conjunction[] {
    const { pointer, schema } = located;
    // The cast: it is no boolean, and a schema.
    const { $ref, allOf, anyOf, oneOf, ...rest } = schema as Record<string, unknown>;
    let all: Conjunction[] = [this.#read(located)];
    if (typeof $ref === 'string') this.work.spend(Math.ceil($ref.length / 10));
    if ($ref !== undefined) all = this.#times(all, this.#one(this.#document.resolve($ref, pointer), inside), pointer);
    for (const branch of branchesOf(allOf, `${pointer}/allOf`)) {
      all = this.#times(all, this.#one(branch, inside), pointer);
    }
    if (anyOf !== undefined) {
      const branches = branchesOf(anyOf, `${pointer}/anyOf`);
      all = this.#times(
        all,
        branches.flatMap((branch) => this.#one(branch, inside)),
        pointer,
      );
    }
    if (oneOf !== undefined) {
      const branches = branchesOf(oneOf, `${pointer}/oneOf`).map((branch) => this.#one(branch, inside));
      this.#refuseOverlap(branches, all, `${pointer}/oneOf`);
      all = this.#times(all, branches.flat(), pointer);
    }
    return withDependencies(all, { pointer, schema: rest }, this.#expander(inside));
  }

  /** @param beside what else holds, which may tell the branches apart */
  #refuseOverlap(branches: readonly (readonly Conjunction[])[], beside: readonly Conjunction[], pointer: string): void {
    const full = branches.map((branch) => this.#times(beside, branch, pointer));
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
    this.work.spend(10 + a.object.required.size + b.object.required.size);
    if (a.values !== null && b.values !== null) {
      this.work.spend(valuesCost(a.values) + valuesCost(b.values));
      return commonValues(a.values, b.values)?.length === 0;
    }
    const types = [...a.types].filter((type) => b.types.has(type));
    return types.every((type) => {
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

  #read(located: Located): Conjunction {
    const known = this.#keywords.get(located.pointer);
    if (known !== undefined) return known;
    const read = readKeywords(located);
    this.work.spend(costOf(read));
    this.#keywords.set(located.pointer, read);
    return read;
  }

  #times(all: readonly Conjunction[], others: readonly Conjunction[], pointer: string): Conjunction[] {
    // Branches that say the same are one.
    const different = new Map<string, Conjunction>();
    for (const one of all) {
      for (const other of others) {
        this.work.spend(costOf(one) + costOf(other));
        const product = both(one, other);
        if (product.types.size === 0 || product.values?.length === 0) continue;
        different.set(fingerprint(product), product);
        if (different.size > MOST_ALTERNATIVES) {
          throw new GrammarError(`has more than ${MOST_ALTERNATIVES} alternatives`, { pointer });
        }
      }
    }
    return [...different.values()];
  }
}

/** One key for each set of schemas. */
export const keyOf = (sub: Sub): string => [...new Set(sub.map((located) => `#${markOf(located)}`))].sort().join('\n');

export function typeOf(value: unknown) {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value;
}

/** What it costs to put a conjunction together with another one, and to tell it from others. */
function costOf(conjunction: Conjunction): number {
  let cost = costs.get(conjunction);
  if (cost === undefined) {
    cost = countCost(conjunction);
    costs.set(conjunction, cost);
  }
  return cost;
}

const costs = new WeakMap<object, number>();

/** What the key of a set of schemas costs. */
export const subCost = (sub: Sub): number => sub.reduce((sum, { pointer }) => sum + 2 + (pointer.length >> 4), 1);

function countCost({ values, excluded, string, array, object }: Conjunction): number {
  const subs = [
    ...array.prefix,
    array.items,
    ...array.contains.map(({ sub }) => sub),
    ...object.properties.values(),
    object.additional,
    object.names,
  ];
  const parts = subs.reduce((sum, sub) => sum + subCost(sub), 0) + 3 * (string.patterns.length + object.required.size);
  return 100 + parts + (values === null ? 0 : valuesCost(values)) + (excluded.length === 0 ? 0 : valuesCost(excluded));
}

function valuesCost(values: readonly unknown[]): number {
  let cost = costs.get(values);
  if (cost === undefined) {
    cost = Math.ceil(valueKey(values).length / 4);
    costs.set(values, cost);
  }
  return cost;
}

const keyOfContains = ({ sub, least }: Conjunction['array']['contains'][number]) => `${least} ${keyOf(sub)}`;

function fingerprint({ types, values, excluded, number, string, array, object }: Conjunction): string {
  const { properties, required, additional, names, ...counts } = object;
  return valueKey([
    ...[
      [...types].sort(),
      values,
      excluded,
      number,
      { ...string, patterns: string.patterns.map(({ name, negated = false }) => [name, negated]) },
    ],
    ...[
      {
        ...array,
        prefix: array.prefix.map(keyOf),
        items: keyOf(array.items),
        contains: array.contains.map(keyOfContains),
      },
    ],
    counts,
    ...[[...properties].map(([name, sub]) => [name, keyOf(sub)]), [...required], keyOf(additional), keyOf(names)],
  ]);
}

function numbersApart(a: Conjunction['number'], b: Conjunction['number']): boolean {
  const { least, most, leastExcluded, mostExcluded } = maybeWithin(
    both({ ...ANYTHING, number: a }, { ...ANYTHING, number: b }).number,
  );
  if (least === null || most === null) return false;
  return least > most || (least === most && (leastExcluded || mostExcluded));
}
