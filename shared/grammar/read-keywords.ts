/**
 * The keywords of one schema that say something by themselves, as a conjunction. The supported
 * keywords are those in this table and in expand-schema.ts; every other one is refused by name,
 * because an answer that ignores it would be another answer.
 */
import { ANYTHING, both, type Conjunction, JSON_TYPES, type JsonType, type Sub } from './conjunction.ts';
import { FORMATS, formatPattern } from './formats.ts';
import { GrammarError } from './grammar-error.ts';
import { parsePattern } from './parse-pattern.ts';
import { escapeKey, isSchema, type Located } from './schema-document.ts';

/** They say something about a schema, and nothing about values. */
const ANNOTATIONS = new Set([
  ...['$comment', '$defs', 'definitions', '$anchor', 'title', 'description', 'default', 'examples'],
  ...['example', 'deprecated', 'readOnly', 'writeOnly', 'contentMediaType', 'contentEncoding', 'discriminator'],
]);
/** expand-schema.ts reads them. */
const COMBINING = new Set(['$ref', 'allOf', 'anyOf', 'oneOf']);

/** More of them would make as many states. */
const MOST_ITEMS = 1_000;
const MOST_STRING = Number.MAX_SAFE_INTEGER;
const MOST_MODULUS = 100;
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
    return { values: context.all.nullable === true ? [...value, null] : value };
  },
  const: (value) => ({ values: [value] }),

  minimum: (value, context) => ({ number: { ...ANYTHING.number, least: bound(value, context) } }),
  maximum: (value, context) => ({ number: { ...ANYTHING.number, most: bound(value, context) } }),
  exclusiveMinimum: (value, context) => ({
    number: { ...ANYTHING.number, least: bound(value, context), leastExcluded: true },
  }),
  exclusiveMaximum: (value, context) => ({
    number: { ...ANYTHING.number, most: bound(value, context), mostExcluded: true },
  }),
  multipleOf: (value, context) => {
    const of = finite(value, context);
    if (of <= 0) throw wrong(context, 'is not more than 0');
    if (!Number.isInteger(of) || of > MOST_MODULUS) {
      throw unsupported(context, `is only supported for whole numbers up to ${MOST_MODULUS}`);
    }
    return { number: { ...ANYTHING.number, isInteger: true, multiplesOf: [of] } };
  },

  minLength: (value, context) => ({ string: { ...ANYTHING.string, min: count(value, context, MOST_STRING) } }),
  maxLength: (value, context) => ({ string: { ...ANYTHING.string, max: count(value, context, MOST_STRING) } }),
  pattern: (value, context) => {
    if (typeof value !== 'string') throw wrong(context, 'is not a text');
    const pattern = at(context, () => parsePattern(value));
    return { string: { ...ANYTHING.string, patterns: [{ name: `pattern ${value}`, pattern }] } };
  },
  format: (value, context) => {
    if (typeof value !== 'string') throw wrong(context, 'is not a text');
    const pattern = formatPattern(value);
    if (pattern === null) {
      throw unsupported(context, `is ${JSON.stringify(value)}: only ${FORMATS.join(', ')} are supported`);
    }
    return { string: { ...ANYTHING.string, patterns: [{ name: `format ${value}`, pattern }] } };
  },

  items: (value, context) => {
    if (Array.isArray(value)) throw unsupported(context, 'is an array: use prefixItems');
    return { array: { ...ANYTHING.array, prefix: prefixOf(context).map(() => []), items: [part(value, context)] } };
  },
  prefixItems: (_value, context) => ({ array: { ...ANYTHING.array, prefix: prefixOf(context) } }),
  minItems: (value, context) => ({ array: { ...ANYTHING.array, min: count(value, context, MOST_ITEMS) } }),
  maxItems: (value, context) => ({ array: { ...ANYTHING.array, max: count(value, context, MOST_ITEMS) } }),
  uniqueItems: (value, context) => {
    if (value !== false) throw unsupported(context, 'is not supported');
    return {};
  },

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

function prefixOf(context: Context): Sub[] {
  const { prefixItems } = context.all;
  if (prefixItems === undefined) return [];
  const here = { ...context, keyword: 'prefixItems' };
  if (!Array.isArray(prefixItems)) throw wrong(here, 'is not an array');
  if (prefixItems.length > MOST_ITEMS) throw unsupported(here, `has more than ${MOST_ITEMS} schemas`);
  return prefixItems.map((schema, i) => [part(schema, { ...here, keyword: `prefixItems/${i}` })]);
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
