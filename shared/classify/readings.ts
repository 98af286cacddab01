/**
 * Everything a text may be meant to say: itself, and what is left of it when a disguise is taken off that one has to guess at
 * (leetspeak, missing spaces, ciphers, encodings, at most two inside one another). Each reading is classified, and the
 * strictest counts label by label; an honest text almost always has just one. How many texts are looked into, how many
 * readings there are and how long both are together is bounded, whatever the text.
 */
import { capText } from './cap-text.ts';
import { reversed, reversedWords, rot13, turnedStretch } from './ciphers.ts';
import { decodeSpans } from './decode-spans.ts';
import type { DefenceOptions } from './defences.ts';
import { MAX_CHARS } from './features.ts';
import { undoLeetspeak } from './leetspeak.ts';
import type { Lexicon } from './lexicon.ts';
import { collapseSpaces, foldLetters, normalize, plainLetters } from './normalize.ts';
import { breakWords, joinLetters } from './word-breaks.ts';

/** The raw text is cut before normalising too: NFKC may make 18 characters of one. */
const MAX_RAW_CHARS = 2 * MAX_CHARS;
/** Texts looked into: the text itself and what was hidden in it. Two codes inside one another come to seven. */
export const MAX_SOURCES = 12;
/** Of all those together; a second text of full length is the last. */
export const MAX_SOURCE_CHARS = 2 * MAX_RAW_CHARS;
/** Of all readings of one text. */
export const MAX_READINGS = 12;
export const MAX_TOTAL_CHARS = 4 * MAX_CHARS;
/** A disguise inside a disguise inside the text. */
const MAX_DEPTH = 2;

export type Readings = {
  /** Different normalised texts, the plain one first. */
  readings: string[];
  /** The work done besides classifying, at most `MAX_SOURCE_CHARS`: characters of all the texts that were looked into. */
  sourceChars: number;
};

/** The first reading of every text, and the only one in training. */
export function plainReading(text: string, options: DefenceOptions = {}): string {
  return capText(normalize(capText(text, MAX_RAW_CHARS), options), MAX_CHARS);
}

/** `readingsOf('h0w to bake', { lexicon }).readings` gives `h0w to bake` and `how to bake`. */
export function readingsOf(text: string, { lexicon, ...options }: { lexicon: Lexicon } & DefenceOptions): Readings {
  const { without = [] } = options;
  const readings = new Set<string>();
  let chars = 0;
  const add = (reading: string) => {
    if (readings.has(reading) || readings.size >= MAX_READINGS || chars + reading.length > MAX_TOTAL_CHARS) return;
    readings.add(reading);
    chars += reading.length;
  };

  // Breadth first: what lies less deep is likelier meant, so it is what the bounds leave.
  const sources = new Map<string, number>([[capText(text, MAX_RAW_CHARS), 0]]);
  let sourceChars = 0;
  const look = (source: string, depth: number) => {
    const raw = capText(source, MAX_RAW_CHARS);
    if (sources.size < MAX_SOURCES && !sources.has(raw)) sources.set(raw, depth);
  };
  for (const [raw, depth] of sources) {
    if (sourceChars + raw.length > MAX_SOURCE_CHARS) break;
    sourceChars += raw.length;
    add(plainReading(raw, options));
    const letters = capText(plainLetters(raw, options), MAX_RAW_CHARS);
    add(capText(respell(letters, lexicon, options), MAX_CHARS));
    if (depth === MAX_DEPTH) continue;
    const decoded = without.includes('encodings') ? undefined : decodeSpans(raw, lexicon);
    const inside = [
      ...(decoded === undefined ? [] : [decoded.inPlace, ...decoded.messages]),
      ...(without.includes('rot13') ? [] : turned(letters, { turn: rot13, lexicon })),
      ...(without.includes('reversal') ? [] : turned(letters, { turn: reversed, lexicon, others: [reversedWords] })),
    ];
    for (const source of inside) look(source, depth + 1);
  }
  return { readings: [...readings], sourceChars };
}

/** Spaced-out letters, leetspeak and missing spaces undone together, since they come together. */
function respell(letters: string, lexicon: Lexicon, options: DefenceOptions): string {
  const { without = [] } = options;
  const folded = foldLetters(letters, options);
  const joined = collapseSpaces(without.includes('spacing') ? folded : joinLetters(folded));
  const spelled = without.includes('leetspeak') ? joined : undoLeetspeak(joined, lexicon);
  return without.includes('word breaks') ? spelled : breakWords(spelled, lexicon);
}

type Turning = { turn: (text: string) => string; lexicon: Lexicon; others?: readonly ((text: string) => string)[] };

/** The text with its turned stretch put right, and that stretch by itself. */
function turned(text: string, { turn, lexicon, others = [] }: Turning): string[] {
  const stretch = turnedStretch(text, turn, lexicon);
  if (stretch === undefined) return [];
  const { start, end } = stretch;
  const hidden = text.slice(start, end);
  return [turn, ...others].flatMap((way) => [`${text.slice(0, start)}${way(hidden)}${text.slice(end)}`, way(hidden)]);
}
