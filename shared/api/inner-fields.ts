/**
 * The fields inside of a request's fields. What says what an answer is asked for is read strictly,
 * as the request itself is. What a conversation is made of is read as it comes: clients send back
 * all that an answer has come with, and what other servers add to it. What they add is named.
 */
import { among, type IgnoredFields, unknownField } from './ignored-fields.ts';

type Fields = Readonly<Record<string, unknown>>;

export type Inside = {
  /** The fields that are read, or say nothing. Left out: its own fields are looked at elsewhere. */
  known?: readonly string[];
  /** Those that are ignored, and the values of theirs that need no mention. */
  ignored?: IgnoredFields;
  /** Whether whatever else is there is ignored and named. If not, it is an error. */
  isOpen?: boolean;
  /** What is inside of some of the known fields: objects, or lists of them. */
  inside?: Readonly<Record<string, InsideOf>>;
};
/** As it is told by a field beside it. null: the schema refuses what is here. */
type InsideOf = Inside | ((fields: Fields) => Inside | null);
/** Where an object stands: for errors as `tools[0]`, for the header as `tools[]`. */
type Place = { path: string; name: string };

/** A longer list is no accident, and a header has its bounds. */
const MOST_NAMED = 32;
const PLAIN_NAME = /^\w{1,64}$/;

/**
 * Names what is inside of a body and will be ignored, as `tools[].cache_control`. Throws
 * `unknown_parameter` for what nobody knows.
 */
export function ignoredInside(body: unknown, inside: Readonly<Record<string, InsideOf>>): string[] {
  const ignored = new Set<string>();
  const read = (value: unknown, of: InsideOf, { path, name }: Place): void => {
    if (Array.isArray(value)) {
      for (const [i, one] of value.entries()) read(one, of, { path: `${path}[${i}]`, name: `${name}[]` });
      return;
    }
    if (typeof value !== 'object' || value === null) return;
    // The casts: any object may be read by names.
    const found = typeof of === 'function' ? of(value as Fields) : of;
    if (found === null) return;
    const fields = value as Fields;
    look(fields, found, { path, name });
    within(fields, found.inside ?? {}, { path: `${path}.`, name: `${name}.` });
  };
  const look = (fields: Fields, { known, ignored: table = {}, isOpen = false }: Inside, at: Place): void => {
    if (known === undefined) return;
    const prefix = `${at.path}.`;
    if (!isOpen) {
      for (const own of among(fields, { known, table, prefix })) ignored.add(`${at.name}.${own}`);
      return;
    }
    for (const key of Object.keys(fields)) {
      if (known.includes(key) || fields[key] == null) continue;
      const named = `${at.name}.${key}`;
      const hasRoom = ignored.has(named) || ignored.size < MOST_NAMED;
      if (!PLAIN_NAME.test(key) || !hasRoom) throw unknownField(key, { known, prefix });
      ignored.add(named);
    }
  };
  const within = (fields: Fields, parts: Readonly<Record<string, InsideOf>>, at: Place): void => {
    for (const [key, of] of Object.entries(parts)) {
      if (!Object.hasOwn(fields, key)) continue;
      read(fields[key], of, { path: `${at.path}${key}`, name: `${at.name}${key}` });
    }
  };
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return [];
  within(body as Fields, inside, { path: '', name: '' });
  return [...ignored];
}

/** Something else than what it is read as is refused by the schema, and better. */
export const ofType =
  (types: Readonly<Record<string, Inside>>) =>
  ({ type }: Fields): Inside | null =>
    typeof type === 'string' && Object.hasOwn(types, type) ? types[type]! : null;

/** Of tools: what other servers keep, and when they are told of. */
export const IGNORED_IN_TOOLS: IgnoredFields = { cache_control: [], defer_loading: [false], async: [false] };
