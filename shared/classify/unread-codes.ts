/**
 * Codes that could not be decoded: long runs of letters and digits that are not words. A code in an
 * English text is usually a key, a hash or a part number. But some codes hide what the text says:
 * one that is far longer, one that the text asks to decode, and one that makes up most of a text
 * that asks for an answer. These count as words of an unknown language.
 */
import { isEnglish } from './english-words.ts';
import type { Lexicon } from './lexicon.ts';

/** Maps the place where each code begins to the place where it ends and its evidence. */
export type Codes = ReadonlyMap<number, { end: number; evidence: number }>;

/**
 * This is longer than identifiers, hashes and most URLs. So it is a code, whatever stands around
 * it.
 */
const SURE_CODE = 100;
/** The least length of a code if the text asks to decode or follow it, or has no words at all. */
const LEAST_CODE = 20;
/**
 * This many characters count as a word. But even a short code that is meant to be read counts as
 * much as a sentence.
 */
const LETTERS_OF_CODE = 25;
const EVIDENCE_A_WORD = 1.3;
const LEAST_EVIDENCE = 3.4;

const TOKEN = /[A-Za-z0-9+/=_-]+/g;
const NUMBERS = /^[\d-]+$/;
/**
 * Known formats that cannot hold a message: MD5, SHA-1, SHA-256, UUIDs, package managers'
 * checksums.
 */
const SUM =
  /^(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|sha\d+-[A-Za-z0-9+/]{27,86}={0,2})$/i;
const UNDO =
  /\b(?:decod|encod|deciph|decrypt|encrypt|ciph|cypher|unscrambl|base ?(?:16|32|58|64|85)|hexadecimal|ascii|binary|octal)/i;
const FOLLOW = /\b(?:answer|reply|respond|follow|obey|execute|instruction|do what|say)/i;
const PIECES = /[A-Z]?[a-z]+|[A-Z]+|\d+/g;
/** The least share of codes in a text that asks for an answer. */
const LEAST_SHARE = 0.4;
/** Groups of up to this many digits and letters may be one code that was broken up. */
const MOST_GROUP = 12;

/**
 * A key: letters and digits in one piece. Anything shorter or in pieces may be words with digits
 * for letters.
 */
const KEY = /(?<![A-Za-z0-9+/])(?=[A-Za-z+/]*\d)[A-Za-z0-9+/]{20,}={0,2}$/;

/** The codes of `text`. A code that the text only mentions has evidence 0. */
export function codesIn(text: string, lexicon: Lexicon): Codes {
  const codes = new Map<number, { end: number; evidence: number }>();
  const runs: { start: number; end: number; letters: number; numbers: boolean; single: boolean }[] = [];
  let code = 0;
  let all = 0;
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    all += token.length;
    const long = token.length >= SURE_CODE;
    if (SUM.test(token)) {
      codes.set(index, { end: index + token.length, evidence: 0 });
      continue;
    }
    if (!long && !isCode(token, lexicon)) continue;
    code += token.length;
    const last = runs.at(-1);
    const end = index + token.length;
    const isNumber = NUMBERS.test(token);
    if (last && index - last.end <= 2 && !/[A-Za-z]/.test(text.slice(last.end, index)) && token.length <= MOST_GROUP) {
      last.end = end;
      last.letters += token.length;
      last.numbers &&= isNumber;
      last.single = false;
    } else runs.push({ start: index, end, letters: token.length, numbers: isNumber, single: true });
  }
  if (runs.length === 0) return codes;
  const asksToUndo = UNDO.test(text);
  const isMost = code >= LEAST_SHARE * all && (FOLLOW.test(text) || code === all);
  for (const { start, end, letters, numbers, single } of runs) {
    const evidence = (EVIDENCE_A_WORD * letters) / LETTERS_OF_CODE;
    if (letters >= SURE_CODE && single) codes.set(start, { end, evidence });
    else if (letters >= LEAST_CODE && (asksToUndo || (isMost && !numbers)))
      codes.set(start, { end, evidence: Math.max(LEAST_EVIDENCE, evidence) });
    else if (single && KEY.test(text.slice(start, end))) codes.set(start, { end, evidence: 0 });
  }
  return codes;
}

/**
 * Whether a token is a number, or has digits among letters or capitals among small letters but few
 * words.
 */
function isCode(token: string, lexicon: Lexicon): boolean {
  if (NUMBERS.test(token)) return true;
  if (!/\d|[a-z][A-Z]/.test(token)) return false;
  let known = 0;
  for (const piece of token.match(PIECES) ?? [])
    if (piece.length > 2 && isEnglish(piece.toLowerCase(), lexicon)) known += piece.length;
  return known < token.length / 2;
}
