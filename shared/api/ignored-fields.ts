/**
 * Fields of a request that other servers know and that change nothing about an answer here. They
 * are taken, so that clients which always send them work, and named in the header
 * `x-plimsoll-ignored`. Nothing else is ignored: a field that we do not know may well be a
 * misspelt one, so it is an error.
 */
import { PlimsollError } from './errors.ts';
import { shortText } from './short-text.ts';

/** Names the fields that were ignored, with commas between them. */
export const IGNORED_HEADER = 'x-plimsoll-ignored';

/** For each field, the values that ask for nothing at all. They need no mention. */
export type IgnoredFields = Readonly<Record<string, readonly unknown[]>>;

const IGNORED: IgnoredFields = {
  // Who asks, and what for.
  user: [],
  metadata: [],
  safety_identifier: [],
  // How it is served: nothing is stored, and every request is served alike.
  store: [false],
  service_tier: ['auto', 'default'],
  prompt_cache_key: [],
  prompt_cache_retention: [],
  // About calls of tools, if there are any.
  parallel_tool_calls: [],
  // vLLM's. Its order of service, names in its log, and what is so here anyway.
  priority: [0],
  request_id: [],
  cache_salt: [],
  include_reasoning: [],
  skip_special_tokens: [true],
  spaces_between_special_tokens: [true, false],
  // LiteLLM's.
  caching: [],
};

/** The same for a message of a chat. SDKs send answers back with all that they have come with. */
const IGNORED_IN_MESSAGES: IgnoredFields = {
  name: [],
  annotations: [],
  cache_control: [],
  id: [],
  reasoning: [],
  reasoning_content: [],
  reasoning_details: [],
  weight: [],
};

type Fields = Readonly<Record<string, unknown>>;

const isSet = (value: unknown) => value !== undefined && value !== null;
const isEmpty = (value: unknown) => typeof value === 'object' && value !== null && Object.keys(value).length === 0;

/**
 * Names what a request asks for and will not get, because it changes nothing. Throws
 * `unknown_parameter` for a field that nobody knows.
 *
 * @param known the fields that are read elsewhere, or refused there by name
 * @param messageFields the same for each of its messages
 */
export function ignoredFields(
  body: unknown,
  { known, messageFields = [] }: { known: readonly string[]; messageFields?: readonly string[] },
): string[] {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return [];
  // The cast: any object may be read by names.
  const fields = body as Fields;
  const ignored = new Set(among(fields, { known, table: IGNORED, prefix: '' }));
  const messages: unknown[] = messageFields.length > 0 && Array.isArray(fields.messages) ? fields.messages : [];
  for (const [i, message] of messages.entries()) {
    if (typeof message !== 'object' || message === null || Array.isArray(message)) continue;
    const own = among(message as Fields, {
      known: messageFields,
      table: IGNORED_IN_MESSAGES,
      prefix: `messages[${i}].`,
    });
    for (const name of own) ignored.add(`messages[].${name}`);
  }
  const options = fields.stream_options;
  const obfuscates = typeof options === 'object' && options !== null && 'include_obfuscation' in options;
  if (obfuscates && options.include_obfuscation === true) ignored.add('stream_options.include_obfuscation');
  return [...ignored];
}

/** Names which of these are ignored. Throws for one that nobody knows. */
export function among(
  fields: Fields,
  { known, table, prefix }: { known: readonly string[]; table: IgnoredFields; prefix: string },
): string[] {
  return Object.keys(fields).filter((name) => {
    const value = fields[name];
    if (known.includes(name)) return false;
    const neutral = Object.hasOwn(table, name) ? table[name] : undefined;
    if (neutral === undefined && !isSet(value)) return false;
    if (neutral === undefined) throw unknownField(name, { known: [...known, ...Object.keys(table)], prefix });
    return isSet(value) && !neutral.includes(value) && !isEmpty(value);
  });
}

export function unknownField(
  name: string,
  { known, prefix }: { known: readonly string[]; prefix: string },
): PlimsollError {
  const quoted = shortText(name);
  const near = known.find((other) => isNear(name, other));
  const hint = near === undefined ? '' : ` Did you mean '${prefix}${near}'?`;
  return new PlimsollError(
    'unknown_parameter',
    `Unrecognized request argument: '${prefix}${quoted}'.${hint} ` +
      'A field that this server does not know might change the answer, so it is not ignored.',
    { param: `${prefix}${quoted}` },
  );
}

/** Whether two names differ by one letter, or by two neighbours that changed places. */
function isNear(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false;
  let from = 0;
  while (from < Math.min(a.length, b.length) && a[from] === b[from]) from++;
  const rest = (text: string, skipped: number) => text.slice(from + skipped);
  return (
    rest(a, 1) === rest(b, 1) ||
    rest(a, 1) === rest(b, 0) ||
    rest(a, 0) === rest(b, 1) ||
    (a[from] === b[from + 1] && a[from + 1] === b[from] && rest(a, 2) === rest(b, 2))
  );
}
