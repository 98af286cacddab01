/**
 * Some vocabularies lack bytes. SmolLM2's has no token for 21 of the 256, and a BPE drops what it
 * has no token for without a word. So we turn every character that needs a missing byte into
 * U+FFFD, the replacement character. We allow that for characters that carry no meaning, and refuse
 * a tokenizer that would lose any other.
 */
import { BundleError } from './bundle-error.ts';

/** Bytes that no valid UTF-8 contains. */
const NEVER_USED = [0xc0, 0xc1, ...range(0xf5, 0xff)];
/** The first bytes of the planes 4 to 11, in which Unicode has assigned nothing. */
const UNASSIGNED = [0xf1, 0xf2];
/** The control characters of ASCII, without tab, line feed and carriage return. */
const CONTROLS = [...range(0x00, 0x1f), 0x7f].filter((byte) => ![0x09, 0x0a, 0x0d].includes(byte));
const DISPENSABLE = new Set([...NEVER_USED, ...UNASSIGNED, ...CONTROLS]);

/**
 * Returns a function that replaces what cannot be written. Lone surrogates are no characters and
 * become U+FFFD too, as they do in UTF-8.
 */
export function replaceUnwritable(covered: ReadonlySet<number>, file: string): (text: string) => string {
  const missing = range(0, 255).filter((byte) => !covered.has(byte));
  const needed = missing.filter((byte) => !DISPENSABLE.has(byte));
  if (needed.length > 0) {
    const bytes = needed.map((byte) => `0x${byte.toString(16).padStart(2, '0')}`).join(', ');
    throw new BundleError(
      file,
      `no token for the bytes ${bytes}: found ${covered.size} of 256 bytes, wanted all but control characters and ` +
        'bytes that text never has',
    );
  }
  const controls = missing.filter((byte) => byte < 0x80).map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`);
  const planes = [
    missing.includes(0xf1) ? '\\u{40000}-\\u{7FFFF}' : '',
    missing.includes(0xf2) ? '\\u{80000}-\\u{BFFFF}' : '',
  ];
  const unwritable = [...controls, ...planes].join('');
  if (unwritable === '') return (text) => text.toWellFormed();
  const pattern = new RegExp(`[${unwritable}]`, 'gu');
  return (text) => text.toWellFormed().replace(pattern, '\ufffd');
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
