/**
 * Finds spans of a text that encode another text: base64 (whole, in groups or backwards), base32,
 * hex, character codes (decimal, octal, binary), percent or character escapes, or Unicode's
 * invisible tag letters. A span counts only if the result is printable and reads as text. Hashes,
 * keys, identifiers and lists of numbers decode to noise, so they stay as they are.
 */
import { reversed } from './ciphers.ts';
import { decodeGroups } from './code-groups.ts';
import type { Lexicon } from './lexicon.ts';

/** The shortest hidden message, in decoded characters. */
const LEAST_CHARS = 4;
/** A span this long that is printable throughout is no accident. The chance is (95 / 256) ^ 12. */
const SURELY_MEANT = 12;

/** Base64, also in long lines of equal width, as in mail and keys, and in the alphabet for URLs. */
const BASE64 =
  /(?<![A-Za-z0-9+/_-])={0,2}[A-Za-z0-9+/_-]{6,}(?:\r?\n[A-Za-z0-9+/]{40,})*(?:\r?\n[A-Za-z0-9+/]{2,39}={0,2}|={0,2})(?![A-Za-z0-9+/_=-])/g;
/** Shorter lines are just words, one per line. */
const LEAST_LINE = 40;
/** A shorter span, read backwards, would too easily decode to a word. */
const LEAST_BACKWARDS = 16;
const BASE32 = /(?<![A-Za-z0-9])[A-Z2-7]{16,}={0,6}(?![A-Za-z0-9=])/g;
const BASE32_LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const HEX = /(?<![0-9a-z])(?:0x|\\x)?[0-9a-f]{2}(?:["'\s:,;-]{0,4}(?:0x|\\x)?[0-9a-f]{2}){3,}(?![0-9a-z])/gi;
/**
 * Only a separator ends a group. If a group of seven or eight bits could also follow another one
 * directly, a long run could be cut up in 2^n ways, and the search would try them all.
 */
const BINARY = /(?<![0-9a-z])[01]{7,}(?:[\s,;]{1,2}[01]{7,})*(?![0-9a-z])/gi;
/** Character codes, in decimal or octal. */
const NUMBERS = /(?<![\w.,])\d{2,3}(?:[\s,;]{1,3}\d{2,3}){5,}(?![\w]|[.,]\d)/g;
/**
 * A table of numbers may decode to letters. If these also make words, or are spaced like a text, it
 * is no accident.
 */
const LEAST_KNOWN = 0.5;
const LEAST_SPACES = 0.08;
const SPACED_TEXT = /^[\p{L}\p{M}\s.,;:!?'"-]+$/u;
const PERCENT = /(?:%[0-9a-f]{2})+/gi;
/**
 * A long run of nothing but percent escapes is a message. A few escapes belong to a URL that
 * somebody pasted.
 */
const PERCENT_MESSAGE = /(?:%[0-9a-f]{2}){12,}/gi;
const ESCAPE =
  /&#(\d{2,6});?|&#x([0-9a-f]{2,5});?|\\u\{?([0-9a-f]{2,5})\}?|\\x([0-9a-f]{2})|\\([0-3][0-7]{2}|[4-7][0-7])(?![0-9])/gi;
/** Twelve or more escapes in a row are a separate message, even with spaces between them. */
const ESCAPED_MESSAGE = new RegExp(`(?:(?:${ESCAPE.source}) ?){11,}(?:${ESCAPE.source})`, 'gi');
/** Fewer escapes than this are punctuation, not a disguise. */
const LEAST_ESCAPES = 3;
const TAG_LETTERS = /[\u{e0020}-\u{e007e}]{3,}/gu;

/**
 * Returns the text with its message, on lines of its own, in place of every encoded span. undefined
 * if nothing is encoded. `text` must still have its capitals.
 */
export function decodeSpans(text: string, lexicon: Lexicon): string | undefined {
  const spans = (into: string, pattern: RegExp, decode: (span: string) => string | undefined) =>
    into.replace(pattern, (span) => {
      const message = decode(span);
      if (message === undefined || !isMessage(message, lexicon)) return span;
      return `\n${message}\n`;
    });
  let inPlace = spans(text, PERCENT_MESSAGE, decodePercent);
  inPlace = spans(withoutEscapes(inPlace), TAG_LETTERS, decodeTags);
  inPlace = spans(inPlace, BINARY, decodeBinary);
  inPlace = spans(inPlace, NUMBERS, (span) => decodeNumbers(span, lexicon));
  inPlace = spans(inPlace, HEX, decodeHex);
  inPlace = spans(inPlace, BASE32, decodeBase32);
  inPlace = decodeGroups(inPlace, (code) => {
    const message = decodeBase64(code);
    return message !== undefined && isMessage(message, lexicon) ? message : undefined;
  });
  inPlace = spans(inPlace, BASE64, (span) => {
    const message = decodeBase64(span);
    if ((message !== undefined && isMessage(message, lexicon)) || span.length < LEAST_BACKWARDS) return message;
    return decodeBase64(reversed(span));
  });
  return inPlace === text ? undefined : inPlace;
}

/**
 * Undoes percent and character escapes that stand for a letter here and there. These are not a
 * separate message: the result is the text as it was meant.
 */
function withoutEscapes(text: string): string {
  const percent = text.match(PERCENT)?.join('') ?? '';
  const plain =
    percent.length >= 3 * LEAST_ESCAPES
      ? text.replace(PERCENT, (run) => decodePercent(run) ?? run).replace(/\+/g, ' ')
      : text;
  if ((plain.match(ESCAPE) ?? []).length < LEAST_ESCAPES) return plain;
  return withoutCharacterEscapes(plain.replace(ESCAPED_MESSAGE, (run) => `\n${withoutCharacterEscapes(run)}\n`));
}

function withoutCharacterEscapes(text: string): string {
  return text.replace(ESCAPE, (written, decimal, entity, unicode, byte, octal) => {
    const code = decimal
      ? Number(decimal)
      : Number.parseInt(entity ?? unicode ?? byte ?? octal, octal === undefined ? 16 : 8);
    return code <= 0x10ffff ? String.fromCodePoint(code) : written;
  });
}

function decodePercent(escapes: string): string | undefined {
  return utf8(Uint8Array.from(escapes.slice(1).split('%'), (pair) => Number.parseInt(pair, 16)));
}

function decodeHex(span: string): string | undefined {
  const pairs = span.replace(/0x|\\x|["'\s:,;-]/gi, '').match(/../g) ?? [];
  return utf8(Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16)));
}

function decodeBinary(span: string): string | undefined {
  const bytes = span.split(/[\s,;]+/).flatMap((group) => (group.length === 7 ? [group] : (group.match(/.{8}/g) ?? [])));
  return utf8(Uint8Array.from(bytes, (bits) => Number.parseInt(bits, 2)));
}

function decodeNumbers(span: string, lexicon: Lexicon): string | undefined {
  const numbers = span.split(/[\s,;]+/);
  for (const base of [10, 8]) {
    const codes = numbers.map((number) => (base === 8 && /[89]/.test(number) ? 256 : Number.parseInt(number, base)));
    const message = codes.every((code) => code < 256) ? utf8(Uint8Array.from(codes)) : undefined;
    if (message === undefined) continue;
    const words = message.toLowerCase().match(/[\p{L}']+/gu) ?? [];
    const letters = words.reduce((sum, word) => sum + word.length, 0);
    const known = words.filter((word) => lexicon.has(word)).reduce((sum, word) => sum + word.length, 0);
    const spaces = message.split(' ').length - 1;
    const isSpaced = spaces >= LEAST_SPACES * message.length && SPACED_TEXT.test(message);
    if (isSpaced || (letters >= 2 * words.length && known >= LEAST_KNOWN * letters)) return message;
  }
  return undefined;
}

function decodeBase32(span: string): string | undefined {
  const letters = span.replace(/=+$/, '');
  // A word in capitals is no code.
  if (!/[2-7]/.test(letters)) return undefined;
  const bytes = new Uint8Array(Math.floor((letters.length * 5) / 8));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const letter of letters) {
    bits = ((bits << 5) | BASE32_LETTERS.indexOf(letter)) & 0xfff;
    held += 5;
    if (held < 8) continue;
    held -= 8;
    bytes[at++] = (bits >> held) & 0xff;
  }
  return utf8(bytes);
}

function decodeBase64(span: string): string | undefined {
  // A plain word is base64 too, and most long words of a text get here.
  if (!/\d|=|.[A-Z]/.test(span)) return undefined;
  const [first] = span.split(/\r?\n/, 1);
  if (first!.length < span.length && first!.length < LEAST_LINE) return undefined;
  const letters = span
    .replace(/[\r\n]|=+$/g, '')
    .replaceAll('-', '+')
    .replaceAll('_', '/');
  if (letters.length % 4 === 1 || letters.includes('=')) return undefined;
  return utf8(Uint8Array.from(atob(letters), (byte) => byte.charCodeAt(0)));
}

function decodeTags(span: string): string {
  return Array.from(span, (tag) => String.fromCharCode(tag.codePointAt(0)! - 0xe0000)).join('');
}

/** The text of `bytes`. A piece of a longer run may begin and end inside a character. */
function utf8(given: Uint8Array): string | undefined {
  // A zero in every second byte means UTF-16 of Latin letters.
  const isWide = given.length >= 8 && given.every((byte, i) => i % 2 === 0 || byte === 0);
  const bytes = isWide ? given.filter((_, i) => i % 2 === 0) : given;
  // Noise nearly always has a control character, and a thrown error costs more than this check.
  if (bytes.some((byte) => byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d)) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(wholeCharacters(bytes));
  } catch {
    return undefined;
  }
}

/** Drops an incomplete character at the start and at the end. */
function wholeCharacters(bytes: Uint8Array): Uint8Array {
  let start = 0;
  while (start < 3 && (bytes[start]! & 0xc0) === 0x80) start++;
  let last = bytes.length - 1;
  while (last > bytes.length - 4 && (bytes[last]! & 0xc0) === 0x80) last--;
  const lead = bytes[last] ?? 0;
  const wanted = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
  return bytes.subarray(start, bytes.length - last < wanted ? last : bytes.length);
}

function isMessage(text: string, lexicon: Lexicon): boolean {
  if (text.length < LEAST_CHARS || /(?![\t\n\r])\p{C}/u.test(text)) return false;
  const words = text.toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? [];
  const known = words.filter((word) => lexicon.has(word));
  if (text.length < SURELY_MEANT) return words.length > 0 && known.length === words.length;
  // With no known word, the text may be another code, a cipher or another language.
  const letters = text.match(/[\p{L}\s]/gu)?.length ?? 0;
  return letters >= 0.6 * text.length || /^[\w+/=%\\-]+$/.test(text);
}
