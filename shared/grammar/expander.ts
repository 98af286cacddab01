import type { Conjunction } from './conjunction.ts';
import { GrammarError } from './grammar-error.ts';
import type { Located } from './schema-document.ts';
import type { Work } from './work.ts';

/** What the parts of a schema are made of. */
export type Expander = {
  work: Work;
  /** The alternatives of one schema. */
  one: (located: Located) => readonly Conjunction[];
  /** What satisfies one of each. */
  times: (all: readonly Conjunction[], others: readonly Conjunction[], pointer: string) => Conjunction[];
  resolve: (reference: unknown, at: string) => Located;
};

export function branchesOf(branches: unknown, pointer: string): Located[] {
  if (branches === undefined) return [];
  if (!Array.isArray(branches) || branches.length === 0) {
    throw new GrammarError('is not an array of schemas', { pointer });
  }
  return branches.map((schema, i) => ({ pointer: `${pointer}/${i}`, schema }));
}
