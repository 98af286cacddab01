/**
 * What is not valid under a schema, as alternatives; and the keywords that need it: `not`, `if`,
 * and those that depend on whether a property is there. A keyword whose negation is no such
 * alternative is refused inside of `not` and `if`.
 */
import { ANYTHING, type Conjunction, JSON_TYPES } from './conjunction.ts';
import { branchesOf, type Expander } from './expander.ts';
import { GrammarError } from './grammar-error.ts';
import { ANNOTATIONS, readKeywords } from './read-keywords.ts';
import { escapeKey, type Located } from './schema-document.ts';

const unsupported = (pointer: string, problem: string) => new GrammarError(problem, { pointer, unsupported: true });

/** What satisfies `all` and these keywords of a schema, which say what else has to hold. */
export function withDependencies(
  all: readonly Conjunction[],
  { pointer, schema }: Located,
  expander: Expander,
): readonly Conjunction[] {
  const { one, times } = expander;
  // The cast: who calls this has looked.
  const keywords = schema as Readonly<Record<string, unknown>>;
  const at = (keyword: string, negated = false): Located => ({
    ...{ pointer: `${pointer}/${keyword}`, schema: keywords[keyword], negated },
  });
  let found = all;
  if (keywords.not !== undefined) found = times(found, one(at('not', true)), pointer);
  if (keywords.if !== undefined && (keywords.then !== undefined || keywords.else !== undefined)) {
    const branch = (holds: boolean, keyword: string) => {
      const condition = one(at('if', !holds));
      return keywords[keyword] === undefined ? condition : times(condition, one(at(keyword)), pointer);
    };
    found = times(found, [...branch(true, 'then'), ...branch(false, 'else')], pointer);
  }
  for (const [name, needed] of membersOf(keywords.dependentRequired, `${pointer}/dependentRequired`)) {
    const here = `${pointer}/dependentRequired/${escapeKey(name)}`;
    if (!Array.isArray(needed) || !needed.every((other) => typeof other === 'string')) {
      throw new GrammarError('is not an array of texts', { pointer: here });
    }
    found = times(found, [...unlessThere(name, here), requiring([name, ...needed])], pointer);
  }
  for (const [name, dependent] of membersOf(keywords.dependentSchemas, `${pointer}/dependentSchemas`)) {
    const here = `${pointer}/dependentSchemas/${escapeKey(name)}`;
    const there = times([requiring([name])], one({ pointer: here, schema: dependent }), pointer);
    found = times(found, [...unlessThere(name, here), ...there], pointer);
  }
  return found;
}

function membersOf(value: unknown, pointer: string): [string, unknown][] {
  if (value === undefined) return [];
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new GrammarError('is not an object', { pointer });
  }
  return Object.entries(value);
}

const OTHER_TYPES = (without: readonly string[]): Conjunction => ({
  ...ANYTHING,
  types: new Set(JSON_TYPES.filter((type) => !without.includes(type))),
});
const OBJECTS: Conjunction = { ...ANYTHING, types: new Set(['object']) };

const requiring = (names: readonly string[]): Conjunction => ({
  ...OBJECTS,
  object: { ...ANYTHING.object, required: new Set(names) },
});
const lacking = (name: string, pointer: string): Conjunction => ({
  ...OBJECTS,
  object: { ...ANYTHING.object, properties: new Map([[name, [{ pointer: `${pointer}/absent`, schema: false }]]]) },
});
/** Whatever is no object, and objects without this property. */
const unlessThere = (name: string, pointer: string): Conjunction[] => [OTHER_TYPES(['object']), lacking(name, pointer)];

type Negate = (value: unknown, context: { pointer: string; string: Conjunction['string'] } & Expander) => Conjunction[];

/** By keyword: what is not valid under it. */
const NEGATIONS: Readonly<Record<string, Negate>> = {
  type: (value, { pointer }) => {
    const names = Array.isArray(value) ? value : [value];
    if (names.includes('integer') && !names.includes('number')) {
      throw unsupported(pointer, 'is "integer", which is not supported inside of not and if');
    }
    const types = names.map((name) => (name === 'integer' ? 'number' : name));
    return [OTHER_TYPES(types)];
  },
  enum: (value) => (Array.isArray(value) ? [{ ...ANYTHING, excluded: value }] : []),
  const: (value) => [{ ...ANYTHING, excluded: [value] }],
  minimum: (value) => [numbers({ most: value, mostExcluded: true })],
  maximum: (value) => [numbers({ least: value, leastExcluded: true })],
  exclusiveMinimum: (value) => [numbers({ most: value })],
  exclusiveMaximum: (value) => [numbers({ least: value })],
  minLength: (value) => (value === 0 ? [] : [strings({ max: Number(value) - 1 })]),
  maxLength: (value) => [strings({ min: Number(value) + 1 })],
  pattern: (_value, { string: { patterns } }) =>
    patterns.map((one) => strings({ patterns: [{ ...one, negated: !one.negated }] })),
  required: (value, { pointer }) =>
    Array.isArray(value) ? value.map((name, i) => lacking(name, `${pointer}/${i}`)) : [],
  properties: (value, { pointer }) =>
    membersOf(value, pointer).map(([name, schema]) => {
      const member: Located = { pointer: `${pointer}/${escapeKey(name)}`, schema, negated: true };
      const properties = new Map([[name, [member]]]);
      return { ...OBJECTS, object: { ...ANYTHING.object, required: new Set([name]), properties } };
    }),
  $ref: (value, { pointer, one, resolve }) => [
    ...one({ ...resolve(value, pointer.replace(/\/\$ref$/, '')), negated: true }),
  ],
  not: (schema, { pointer, one }) => [...one({ pointer, schema })],
  allOf: (value, { pointer, one }) => branchesOf(value, pointer).flatMap((branch) => one({ ...branch, negated: true })),
  anyOf: (value, { pointer, one, times }) =>
    branchesOf(value, pointer).reduce(
      (all: Conjunction[], branch) => times(all, one({ ...branch, negated: true }), pointer),
      [ANYTHING],
    ),
};

function numbers(bounds: { least?: unknown; most?: unknown; leastExcluded?: boolean; mostExcluded?: boolean }) {
  // The cast: `readKeywords` has looked at the values.
  const number = { ...ANYTHING.number, ...bounds } as Conjunction['number'];
  return { ...ANYTHING, types: new Set(['number'] as const), number };
}
const strings = (bounds: Partial<Conjunction['string']>): Conjunction => ({
  ...{ ...ANYTHING, types: new Set(['string']), string: { ...ANYTHING.string, ...bounds } },
});

/** @param located a schema that is no boolean */
export function negation({ pointer, schema }: Located, expander: Expander): Conjunction[] {
  // The values of its keywords have to make sense here, too.
  const { string } = readKeywords({ pointer, schema });
  // The cast: who calls this has looked.
  const all = schema as Readonly<Record<string, unknown>>;
  return Object.entries(all).flatMap(([keyword, value]) => {
    expander.work.spend(100);
    if (ANNOTATIONS.has(keyword) || keyword.startsWith('x-') || keyword === '$schema') return [];
    const negate = Object.hasOwn(NEGATIONS, keyword) ? NEGATIONS[keyword] : undefined;
    const here = `${pointer}/${escapeKey(keyword)}`;
    if (negate === undefined || all.nullable !== undefined) {
      throw unsupported(here, 'is not supported inside of not and if');
    }
    return negate(value, { ...expander, pointer: here, string });
  });
}
