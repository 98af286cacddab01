/**
 * Reads the frame that nearly all frames are: a token with its mark, and nothing else. The schema
 * takes several times as long for it as for the whole rest of a token's way through the edge. So
 * this checks the same by hand, and leaves everything else to the schema: what it takes, `Frame`
 * takes, and as the same value. A property test holds the two together.
 */
import type { TokenFrame } from './generate.ts';

/** `type`, `mark`, and the fields of a `TokenTrace` without `top`. */
const FIELDS = 10;
const MAC = /^[\w-]{43}$/;

/** @param value out of `JSON.parse`. null: the schema has to look at it. */
export function plainToken(value: unknown): TokenFrame | null {
  if (typeof value !== 'object' || value === null) return null;
  // The casts: what follows checks each field of it. A field that is not there is undefined.
  const token = value as Record<keyof TokenFrame, unknown>;
  const isPlain =
    token.type === 'token' &&
    Number.isSafeInteger(token.id) &&
    typeof token.text === 'string' &&
    Number.isFinite(token.weight) &&
    Number.isFinite(token.floor) &&
    isNumberOrNull(token.lp_s) &&
    isNumberOrNull(token.lp_h) &&
    isNumberOrNull(token.lp) &&
    isNumberOrNull(token.spent) &&
    isPlainMark(token.mark) &&
    countFields(token) === FIELDS;
  return isPlain ? (value as TokenFrame) : null;
}

function isNumberOrNull(value: unknown): boolean {
  return value === null || Number.isFinite(value);
}

/** A mark without a second look, which only an answer's first token has. */
function isPlainMark(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  // The cast: each field is checked.
  const { mac, ran } = value as { mac?: unknown; ran?: unknown };
  return typeof mac === 'string' && MAC.test(mac) && isRan(ran) && countFields(value) === 2;
}

function isRan(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  // The cast: each field is checked.
  const ran = value as { safety?: unknown; helpfulness?: unknown; layers?: unknown };
  return countRuns(ran.safety) + countRuns(ran.helpfulness) + countRuns(ran.layers) === countFields(value);
}

/** 1 for a count, 0 for none, and what no sum makes good for anything else. */
function countRuns(value: unknown): number {
  if (value === undefined) return 0;
  return Number.isSafeInteger(value) && Number(value) >= 0 ? 1 : Number.NaN;
}

/** All that JSON has put there, `__proto__` included. */
function countFields(value: object): number {
  let fields = 0;
  for (const _ in value) fields++;
  return fields;
}
