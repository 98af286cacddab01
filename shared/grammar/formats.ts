/**
 * The formats of JSON Schema that are supported, as patterns. What matches is valid in the format's
 * own specification. Of some formats not everything valid matches: docs/structured-output.md says
 * which.
 */

import { parsePattern } from './parse-pattern.ts';
import type { Pattern } from './pattern.ts';

const DAYS_31 = '(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])';
const DAYS_30 = '(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)';
const FEBRUARY = '02-(?:0[1-9]|1\\d|2[0-8])';
/** Divisible by 4, but not by 100 unless by 400. */
const LEAP_YEAR = '(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:0[048]|[2468][048]|[13579][26])00)';
const DATE = `(?:\\d{4}-(?:${DAYS_31}|${DAYS_30}|${FEBRUARY})|${LEAP_YEAR}-02-29)`;
/** RFC 3339, without leap seconds. */
const TIME = '(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)';
const OCTET = '(?:\\d|[1-9]\\d|1\\d\\d|2[0-4]\\d|25[0-5])';
/** Without two hyphens in a row, which mean something of their own in some names. */
const LABEL = '[A-Za-z0-9]{1,20}(?:-[A-Za-z0-9]{1,20}){0,2}';
const GROUP = '[0-9A-Fa-f]{1,4}';
/** Eight groups, or fewer around one `::`. */
const IPV6 = [
  `(?:${GROUP}:){7}${GROUP}`,
  '::',
  ...[1, 2, 3, 4, 5, 6, 7].map((n) => `::${n > 1 ? `(?:${GROUP}:){0,${n - 1}}` : ''}${GROUP}`).slice(-1),
  ...[1, 2, 3, 4, 5, 6].map((n) => `(?:${GROUP}:){${n}}:(?:${GROUP}(?::${GROUP}){0,${6 - n}})?`),
  `(?:${GROUP}:){7}:`,
].join('|');

/** With a host, as addresses of the web have it, or after `mailto:`, `urn:` and the like. */
const URI_CHARS = "[A-Za-z0-9._~!$&'()*+,;=:@/-]";
const URI = `[a-z][a-z0-9+.-]{1,15}:(?://${LABEL}(?:\\.${LABEL}){0,3}(?::[1-9]\\d{0,3})?(?:/${URI_CHARS}{0,80})?|[A-Za-z0-9]${URI_CHARS}{0,60})(?:\\?${URI_CHARS}{0,60})?(?:#${URI_CHARS}{0,30})?`;

const SOURCES: Readonly<Record<string, string>> = {
  date: DATE,
  time: TIME,
  'date-time': `${DATE}T${TIME}`,
  duration:
    'P(?:\\d{1,6}W|(?:\\d{1,6}D|\\d{1,6}M(?:\\d{1,6}D)?|\\d{1,6}Y(?:\\d{1,6}M(?:\\d{1,6}D)?)?)' +
    '(?:T(?:\\d{1,6}S|\\d{1,6}M(?:\\d{1,6}S)?|\\d{1,6}H(?:\\d{1,6}M(?:\\d{1,6}S)?)?))?' +
    '|T(?:\\d{1,6}S|\\d{1,6}M(?:\\d{1,6}S)?|\\d{1,6}H(?:\\d{1,6}M(?:\\d{1,6}S)?)?))',
  uuid: '[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}',
  ipv4: `${OCTET}(?:\\.${OCTET}){3}`,
  ipv6: IPV6,
  hostname: `${LABEL}(?:\\.${LABEL}){0,2}`,
  uri: URI,
  email: `[A-Za-z0-9_+-]{1,15}(?:\\.[A-Za-z0-9_+-]{1,15}){0,3}@${LABEL}(?:\\.${LABEL}){0,2}`,
};

export const FORMATS: readonly string[] = Object.keys(SOURCES);

/** Formats of JSON Schema itself: they mean something, supported or not. */
export const STANDARD_FORMATS: ReadonlySet<string> = new Set([
  ...FORMATS,
  ...['idn-email', 'idn-hostname', 'uri-reference', 'iri', 'iri-reference', 'uri-template'],
  ...['json-pointer', 'relative-json-pointer', 'regex'],
]);

const whole = (least: number, most: number) => ({ least, most });
type Range = { least?: number; most?: number };
/** Formats of numbers, from OpenAPI. Those of fractions hold every number that is written here. */
export const NUMBER_FORMATS: ReadonlyMap<string, Range> = new Map<string, Range>([
  ['int32', whole(-(2 ** 31), 2 ** 31 - 1)],
  // The largest that a double still tells from its neighbours.
  ['int64', whole(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)],
  ['float', {}],
  ['double', {}],
]);

/** null: the format is not supported. */
export function formatPattern(format: string): Pattern | null {
  const source = Object.hasOwn(SOURCES, format) ? SOURCES[format] : undefined;
  return source === undefined ? null : parsePattern(`^(?:${source})$`);
}
