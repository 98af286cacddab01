/** A JSON Schema in the words of a table: what a value may be, and the fields of an object. */

/** As much of JSON Schema as our OpenAPI document uses. */
export type Schema = {
  type?: string | readonly string[];
  const?: unknown;
  enum?: readonly unknown[];
  anyOf?: readonly Schema[];
  oneOf?: readonly Schema[];
  allOf?: readonly Schema[];
  items?: Schema | false;
  prefixItems?: readonly Schema[];
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
  additionalProperties?: Schema | boolean;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  default?: unknown;
  description?: string;
  $ref?: string;
};

export type Field = {
  /** As in `messages[].role`. */
  name: string;
  schema: Schema;
  required: boolean;
};

/** What zod writes where an integer has no bound of ours. */
const UNBOUNDED = Number.MAX_SAFE_INTEGER;
/** More values than this are counted, and not listed. */
const MOST_VALUES = 8;

/** What a value may be, as in `0 to 1, or null`. */
export function valuesOf(schema: Schema): string {
  return [...new Set(alternatives(schema))].join(' or ');
}

function alternatives(schema: Schema): string[] {
  const several = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (several !== undefined) return several.flatMap(alternatives);
  if (schema.$ref !== undefined) {
    const name = schema.$ref.split('/').at(-1)!;
    return [`[${name}](#${name.toLowerCase()})`];
  }
  if (schema.const !== undefined) return [code(schema.const)];
  if (schema.enum !== undefined) {
    const shown = schema.enum.slice(0, MOST_VALUES).map(code).join(', ');
    return [schema.enum.length > MOST_VALUES ? `${shown}, … (${schema.enum.length} values)` : shown];
  }
  if (schema.type === undefined) return ['any value'];
  return [schema.type].flat().map((type) => named(type, schema));
}

const code = (value: unknown) => `\`${JSON.stringify(value)}\``;

function named(type: string, schema: Schema): string {
  if (type === 'null') return '`null`';
  if (type === 'boolean') return '`true`, `false`';
  if (type === 'string') return length('text', schema.minLength, schema.maxLength, 'characters');
  if (type === 'array') {
    const of = schema.prefixItems?.[0] ?? (schema.items === false ? undefined : schema.items);
    const item = of === undefined || isNested(of) ? '' : ` of ${valuesOf(of)}`;
    return length(`list${item}`, schema.minItems, schema.maxItems, 'entries');
  }
  if (type === 'object') return 'object';
  return range(type === 'integer' ? 'whole number' : 'number', schema);
}

function length(what: string, least = 0, most: number | undefined, unit: string): string {
  if (most !== undefined) return `${what}, ${least} to ${most} ${unit}`;
  return least > 1 ? `${what}, at least ${least} ${unit}` : what;
}

function range(what: string, { minimum, exclusiveMinimum, maximum }: Schema): string {
  const low = minimum === undefined || minimum <= -UNBOUNDED ? undefined : minimum;
  const high = maximum === undefined || maximum >= UNBOUNDED ? undefined : maximum;
  if (low !== undefined && high !== undefined) return `${what}, ${low} to ${high}`;
  if (exclusiveMinimum !== undefined) return `${what} above ${exclusiveMinimum}`;
  if (low !== undefined) return `${what} from ${low}`;
  return high === undefined ? what : `${what} up to ${high}`;
}

/** The object in a schema, if one of the values that it allows is an object or a list of them. */
function objectIn(schema: Schema): { object: Schema; list: boolean } | undefined {
  if (schema.properties !== undefined) return { object: schema, list: false };
  const items = schema.prefixItems?.[0] ?? schema.items;
  if (items !== undefined && items !== false) {
    const inner = objectIn(items);
    if (inner !== undefined) return { object: inner.object, list: true };
  }
  for (const each of schema.anyOf ?? schema.oneOf ?? schema.allOf ?? []) {
    const found = objectIn(each);
    if (found !== undefined) return found;
  }
  return undefined;
}

const isNested = (schema: Schema) => objectIn(schema) !== undefined;

/** All fields, those of objects within objects after the field that has them. */
export function fieldsOf(schema: Schema, prefix = ''): Field[] {
  const { object, list } = objectIn(schema) ?? {};
  if (object?.properties === undefined) return [];
  const before = prefix === '' ? '' : `${prefix}${list === true ? '[]' : ''}.`;
  return Object.entries(object.properties).flatMap(([key, field]) => {
    const name = `${before}${key}`;
    const required = object.required?.includes(key) ?? false;
    return [{ name, schema: field, required }, ...fieldsOf(field, name)];
  });
}
