/**
 * The keywords of one schema that say something by themselves, as a conjunction. The supported
 * keywords are those in this table and in expand-schema.ts; every other one is refused by name,
 * because an answer that ignores it would be another answer.
 */
import { ANYTHING, both, type Conjunction, JSON_TYPES, type JsonType, type Sub } from './conjunction.ts';
import { FORMATS, formatPattern, NUMBER_FORMATS, STANDARD_FORMATS } from './formats.ts';
import { GrammarError, quoted } from './grammar-error.ts';
import { isExact } from './inexact-numbers.ts';
import { isModulus } from './multiples-table.ts';
import { parsePatterns } from './parse-pattern.ts';
import { escapeKey, isSchema, type Located } from './schema-document.ts';

/** They say something about a schema, and nothing about values. */
export const ANNOTATIONS: ReadonlySet<string> = new Set([
  ...['$comment', '$defs', 'definitions', '$anchor', 'id', 'title', 'description', 'default', 'examples'],
  ...['example', 'deprecated', 'readOnly', 'writeOnly', 'contentMediaType', 'contentEncoding', 'discriminator'],
]);
/** expand-schema.ts and negation.ts read them. */
const COMBINING = new Set([
  ...['$ref', 'allOf', 'anyOf', 'oneOf'],
  ...['not', 'if', 'then', 'else', 'dependentRequired', 'dependentSchemas'],
]);

/** More of them would make as many states. */
const MOST_ITEMS = 1_000;
const MOST_STRING = Number.MAX_SAFE_INTEGER;
const LEAST_BOUND = 1e-25;

type Read = (value: unknown, context: Context) => Partial<Conjunction>;
type Context = Located & {
  keyword: string;
  /** The whole schema. */
  all: Readonly<Record<string, unknown>>;
};

const wrong = ({ pointer, keyword }: Context, problem: string) =>
  new GrammarError(problem, { pointer: `${pointer}/${escapeKey(keyword)}` });
const unsupported = ({ pointer, keyword }: Context, problem: string) =>
  new GrammarError(problem, { pointer: `${pointer}/${escapeKey(keyword)}`, unsupported: true });

const READERS: Readonly<Record<string, Read>> = {
  $schema: (value, context) => {
    // Another dialect may mean something else by the same keywords.
    if (typeof value === 'string' && /^https?:\/\/json-schema\.org\//.test(value)) return {};
    throw unsupported(context, 'is not one of json-schema.org');
  },
  type: (value, context) => {
    const names = Array.isArray(value) ? value : [value];
    const types = new Set<JsonType>();
    let isInteger = false;
    for (const name of names) {
      if (name === 'integer') {
        isInteger = !names.includes('number');
        types.add('number');
      } else if (JSON_TYPES.some((type) => type === name)) types.add(name);
      else
        throw wrong(
          context,
          `has no known type: expected ${[...JSON_TYPES, 'integer'].join(', ')} or an array of them`,
        );
    }
    // OpenAPI's way to allow null.
    if (context.all.nullable === true) types.add('null');
    return { types, ...(isInteger && { number: { ...ANYTHING.number, isInteger } }) };
  },
  nullable: (value, context) => {
    if (typeof value !== 'boolean') throw wrong(context, 'is not true or false');
    if (value && context.all.type === undefined) throw unsupported(context, 'is only supported beside type');
    return {};
  },
  enum: (value, context) => {
    if (!Array.isArray(value)) throw wrong(context, 'is not an array');
    refuseInexact(value, context);
    return { values: context.all.nullable === true ? [...value, null] : value };
  },
  const: (value, context) => {
    refuseInexact(value, context);
    return { values: [value] };
  },

  minimum: (value, context) => ({ number: { ...ANYTHING.number, least: bound(value, context) } }),
  maximum: (value, context) => ({ number: { ...ANYTHING.number, most: bound(value, context) } }),
  exclusiveMinimum: (value, context) => {
    // OpenAPI 3.0 and draft 4 say whether `minimum` is excluded.
    if (value === false) return {};
    const least = bound(value === true ? context.all.minimum : value, context);
    return { number: { ...ANYTHING.number, least, leastExcluded: true } };
  },
  exclusiveMaximum: (value, context) => {
    if (value === false) return {};
    const most = bound(value === true ? context.all.maximum : value, context);
    return { number: { ...ANYTHING.number, most, mostExcluded: true } };
  },
  multipleOf: (value, context) => {
    const of = finite(value, context);
    if (of <= 0) throw wrong(context, 'is not more than 0');
    if (!isModulus(of)) {
      throw unsupported(context, 'is only supported for up to 3 digits, of which up to 6 places after the point');
    }
    return { number: { ...ANYTHING.number, isInteger: Number.isInteger(of), multiplesOf: [of] } };
  },

  minLength: (value, context) => ({ string: { ...ANYTHING.string, min: count(value, context, MOST_STRING) } }),
  maxLength: (value, context) => ({ string: { ...ANYTHING.string, max: count(value, context, MOST_STRING) } }),
  pattern: (value, context) => {
    if (typeof value !== 'string') throw wrong(context, 'is not a text');
    const patterns = at(context, () => parsePatterns(value));
    return {
      string: { ...ANYTHING.string, patterns: patterns.map((one, i) => ({ ...one, name: `pattern ${i} ${value}` })) },
    };
  },
  format: (value, context) => {
    if (typeof value !== 'string') throw wrong(context, 'is not a text');
    const bounds = NUMBER_FORMATS.get(value);
    if (bounds !== undefined) return { number: { ...ANYTHING.number, ...bounds } };
    if (value === 'password' || value === 'binary') return {};
    const pattern = formatPattern(value);
    // Libraries name formats of their own, with the pattern that says what they mean.
    if (pattern === null && typeof context.all.pattern === 'string' && !STANDARD_FORMATS.has(value)) return {};
    if (pattern === null) {
      throw unsupported(context, `is ${quoted(value)}: only ${FORMATS.join(', ')} are supported`);
    }
    return { string: { ...ANYTHING.string, patterns: [{ name: `format ${value}`, pattern }] } };
  },

  items: (value, context) => {
    // Before draft 2020-12, that is how prefixItems was written.
    if (Array.isArray(value)) {
      if (context.all.prefixItems !== undefined) throw wrong(context, 'is an array, and prefixItems says what it says');
      return { array: { ...ANYTHING.array, prefix: prefixOf(context) } };
    }
    return { array: { ...ANYTHING.array, prefix: prefixOf(context).map(() => []), items: [part(value, context)] } };
  },
  prefixItems: (_value, context) => ({ array: { ...ANYTHING.array, prefix: prefixOf(context) } }),
  additionalItems: (value, context) => {
    if (!Array.isArray(context.all.items)) throw unsupported(context, 'is only supported beside an array of items');
    const prefix = prefixOf({ ...context, keyword: 'items' }).map(() => []);
    return { array: { ...ANYTHING.array, prefix, items: [part(value, context)] } };
  },
  minItems: (value, context) => ({ array: { ...ANYTHING.array, min: count(value, context, MOST_ITEMS) } }),
  maxItems: (value, context) => ({ array: { ...ANYTHING.array, max: count(value, context, MOST_ITEMS) } }),
  uniqueItems: (value, context) => {
    if (typeof value !== 'boolean') throw wrong(context, 'is not true or false');
    return { array: { ...ANYTHING.array, isUnique: value } };
  },
  contains: (value, context) => {
    const { minContains, maxContains } = context.all;
    if (maxContains !== undefined) throw unsupported({ ...context, keyword: 'maxContains' }, 'is not supported');
    const least = count(minContains ?? 1, { ...context, keyword: 'minContains' }, MOST_ITEMS);
    const contains = least === 0 ? [] : [{ sub: [part(value, context)], least }];
    return { array: { ...ANYTHING.array, contains } };
  },
  // Without contains, they say nothing.
  minContains: () => ({}),
  maxContains: () => ({}),

  properties: (_value, context) => ({ object: { ...ANYTHING.object, properties: propertiesOf(context) } }),
  required: (value, context) => {
    if (!Array.isArray(value) || !value.every((name) => typeof name === 'string')) {
      throw wrong(context, 'is not an array of texts');
    }
    return { object: { ...ANYTHING.object, required: new Set<string>(value) } };
  },
  additionalProperties: (value, context) => {
    // It is about the names that this schema does not list, so it lists them.
    const listed = new Map([...propertiesOf({ ...context, keyword: 'properties' }).keys()].map((name) => [name, []]));
    return { object: { ...ANYTHING.object, properties: listed, additional: [part(value, context)] } };
  },
  propertyNames: (value, context) => ({ object: { ...ANYTHING.object, names: [part(value, context)] } }),
  minProperties: (value, context) => ({ object: { ...ANYTHING.object, min: count(value, context, MOST_ITEMS) } }),
  maxProperties: (value, context) => ({ object: { ...ANYTHING.object, max: count(value, context, MOST_ITEMS) } }),
};

/** Throws a GrammarError for a keyword that is not supported, or has a value it cannot have. */
export function readKeywords({ pointer, schema }: Located): Conjunction {
  // The cast: expand-schema.ts has looked.
  const all = schema as Readonly<Record<string, unknown>>;
  let conjunction = ANYTHING;
  for (const [keyword, value] of Object.entries(all)) {
    if (ANNOTATIONS.has(keyword) || COMBINING.has(keyword) || keyword.startsWith('x-')) continue;
    // As the address of the whole schema it changes nothing.
    if (keyword === '$id' && pointer === '') continue;
    const context = { pointer, schema, keyword, all };
    const read = Object.hasOwn(READERS, keyword) ? READERS[keyword] : undefined;
    if (read === undefined) throw unsupported(context, 'is not supported');
    conjunction = both(conjunction, { ...ANYTHING, ...read(value, context) });
  }
  return conjunction;
}

function finite(value: unknown, context: Context): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw wrong(context, 'is not a number');
  return value;
}

/** Of a bound with more zeros after the point, the digits would be too many to write. */
function bound(value: unknown, context: Context): number {
  const bound = finite(value, context);
  if (bound !== 0 && Math.abs(bound) < LEAST_BOUND) {
    throw unsupported(context, `is ${bound}: only 0 and bounds of at least ${LEAST_BOUND} in size are supported`);
  }
  return bound;
}

/** Two such numbers may be read as one, so an answer could be neither. */
function refuseInexact(value: unknown, context: Context): void {
  if (!isExact(value)) throw unsupported(context, 'has a whole number beyond 2^53');
}

function count(value: unknown, context: Context, limit: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) {
    throw wrong(context, 'is not a whole number of at least 0');
  }
  if (value > limit) throw unsupported(context, `is ${value}: at most ${limit} are supported`);
  return value;
}

function part(value: unknown, context: Context): Located {
  if (!isSchema(value)) throw wrong(context, 'is no schema: expected an object, true or false');
  return { pointer: `${context.pointer}/${context.keyword}`, schema: value };
}

/** The schemas of the first items, from `prefixItems` or from an array of `items`. */
function prefixOf(context: Context): Sub[] {
  const keyword = Array.isArray(context.all.items) ? 'items' : 'prefixItems';
  const prefix = context.all[keyword];
  if (prefix === undefined) return [];
  const here = { ...context, keyword };
  if (!Array.isArray(prefix)) throw wrong(here, 'is not an array');
  if (prefix.length > MOST_ITEMS) throw unsupported(here, `has more than ${MOST_ITEMS} schemas`);
  return prefix.map((schema, i) => [part(schema, { ...here, keyword: `${keyword}/${i}` })]);
}

function propertiesOf(context: Context): Map<string, Sub> {
  const { properties = {} } = context.all;
  if (typeof properties !== 'object' || properties === null || Array.isArray(properties)) {
    throw wrong(context, 'is not an object');
  }
  return new Map(
    Object.entries(properties).map(([name, schema]) => [
      name,
      [part(schema, { ...context, keyword: `properties/${escapeKey(name)}` })],
    ]),
  );
}

/** Says where, if what is wrong does not know. */
function at<T>(context: Context, read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    if (!(thrown instanceof GrammarError) || thrown.pointer !== null) throw thrown;
    const { message, unsupported } = thrown;
    throw new GrammarError(message, { pointer: `${context.pointer}/${context.keyword}`, unsupported });
  }
}
