/**
 * Everything that a block of text may mean: the block itself, and what remains when a guessed
 * disguise is removed (leetspeak, missing spaces, typing slips, ciphers, encodings, at most two of
 * them nested). Each reading is the whole block, with the hidden message in place of its disguise.
 * For each label, the strictest reading counts. An honest text almost always has just one. The
 * number of readings, and of texts we look into, is bounded, whatever the text.
 */
import { MOST_BLOCK_CHARS } from './blocks.ts';
import { joinChopped } from './chopped-words.ts';
import { reversed, reversedWords, rot13, turnedStretch } from './ciphers.ts';
import { decodeSpans } from './decode-spans.ts';
import type { DefenceOptions } from './defences.ts';
import { MAX_CHARS } from './features.ts';
import { finish } from './finish.ts';
import { undoLeetspeak } from './leetspeak.ts';
import type { Lexicon } from './lexicon.ts';
import { collapseSpaces, foldLetters, normalize, plainLetters } from './normalize.ts';
import { joinLetters } from './spaced-letters.ts';
import { undoTyping } from './typing-noise.ts';
import type { Meaning } from './unknown-language.ts';
import { breakWords } from './word-breaks.ts';

/**
 * The most texts we look into: the block itself and what was hidden in it, by up to two nested
 * codes.
 */
export const MAX_SOURCES = 6;
export const MAX_READINGS = 8;
/** A disguise inside a disguise inside the text. */
const MAX_DEPTH = 2;
/**
 * We do not look into longer texts, and `gaveUp` says so. This is twice a block, because every
 * decoded span stands on a line of its own and so gains two line ends.
 */
const MOST_SOURCE_CHARS = 2 * MOST_BLOCK_CHARS;

type Readings = {
  /** Different normalised texts, the plain one first. */
  readings: string[];
  /** The block with mistyped words corrected. undefined if that gives nothing new. */
  typing: string | undefined;
  /**
   * Readings for judging the language. They do not correct typing, because that can turn anything
   * into English.
   */
  languages: Meaning;
  /**
   * Whether there was more to look into than the bounds allow. If so, we do not know what it says.
   */
  gaveUp: boolean;
};

/**
 * The first reading of every text, and the only one in training: the text's first `MAX_CHARS`
 * characters.
 */
export function plainReading(text: string, options: DefenceOptions = {}): string {
  return normalize(text.slice(0, MAX_CHARS), options).slice(0, MAX_CHARS);
}

type ReadingOptions = DefenceOptions & {
  lexicon: Lexicon;
  /** How many texts we look into. 1: only the block itself, not what is hidden in it. */
  most?: number;
};

/**
 * `readingsOf('h0w to bake', { lexicon }).readings` gives `h0w to bake` and `how to bake`. `block`
 * is cut as blocks.ts cuts it.
 */
export function readingsOf(block: string, options: ReadingOptions): Readings {
  return finish(readInSlices(block, options));
}

/** The same, one text at a time. Yields the number of characters of each. */
export function* readInSlices(
  block: string,
  { lexicon, most = MAX_SOURCES, ...options }: ReadingOptions,
): Generator<number, Readings, void> {
  const { without = [] } = options;
  const readings = new Set<string>();
  const languages = new Map<string, string[]>();
  let typing: string | undefined;
  let gaveUp = false;
  const add = (reading: string) => {
    if (readings.size < MAX_READINGS) readings.add(reading);
    else if (!readings.has(reading)) gaveUp = true;
  };

  // Breadth first. What is hidden less deeply is more likely meant, so it comes before the bounds
  // are reached.
  const sources = new Map<string, number>([[block, 0]]);
  // What each source decoded to, and which source each turned text came from.
  const decodings = new Map<string, string>();
  const turnings: [from: string, to: string][] = [];
  for (const [raw, depth] of sources) {
    const letters = plainLetters(raw, options);
    const plain = normalize(raw, options);
    add(plain);
    const spelled = respell(letters, lexicon, options);
    add(spelled);
    languages.set(raw, [plain, spelled]);
    // Only the block itself can have typing slips. In hidden text, somebody chose every letter.
    if (depth === 0 && !without.includes('typing noise')) typing = undoTyping(spelled, lexicon);
    yield raw.length;
    const decoded = without.includes('encodings') ? undefined : decodeSpans(raw, lexicon);
    if (depth === MAX_DEPTH) {
      // We do not look into a code inside two others.
      if (decoded !== undefined && !sources.has(decoded)) gaveUp = true;
      continue;
    }
    if (decoded !== undefined) decodings.set(raw, decoded);
    const turns = [
      ...(without.includes('rot13') ? [] : turned(letters, { turn: rot13, lexicon })),
      ...(without.includes('reversal') ? [] : turned(letters, { turn: reversed, lexicon, others: [reversedWords] })),
    ];
    for (const turn of turns) turnings.push([raw, turn]);
    for (const source of decoded === undefined ? turns : [decoded, ...turns]) {
      if (sources.has(source)) continue;
      if (sources.size < most && source.length <= MOST_SOURCE_CHARS) sources.set(source, depth + 1);
      else gaveUp = true;
    }
  }
  return { readings: [...readings], typing, languages: meaningOf(block, { decodings, turnings, languages }), gaveUp };
}

type Found = {
  decodings: ReadonlyMap<string, string>;
  turnings: readonly (readonly [from: string, to: string])[];
  /** From a source to its readings. */
  languages: ReadonlyMap<string, readonly string[]>;
};

/**
 * What the block says with every code undone, and how that may be read. Other sources still have
 * codes in them.
 */
function meaningOf(block: string, { decodings, turnings, languages }: Found): Meaning {
  const innermost = (source: string) => {
    let inner = source;
    for (let depth = 0; depth < MAX_DEPTH; depth++) inner = decodings.get(inner) ?? inner;
    return inner;
  };
  const meant = innermost(block);
  const ways = new Set([meant]);
  // A source was turned before it was decoded if its codes are inside the turned stretch.
  for (const [from, to] of turnings) if (ways.has(from)) ways.add(to).add(innermost(to));
  return {
    decoded: meant === block ? undefined : meant,
    readings: [...ways].flatMap((source) => languages.get(source) ?? []),
  };
}

/**
 * Undoes spaced-out letters, leetspeak and missing spaces together, since they often occur
 * together.
 */
function respell(letters: string, lexicon: Lexicon, options: DefenceOptions): string {
  const { without = [] } = options;
  const folded = foldLetters(letters, options);
  const joined = collapseSpaces(
    without.includes('spacing') ? folded : joinChopped(joinLetters(folded, lexicon), lexicon),
  );
  const spelled = without.includes('leetspeak') ? joined : undoLeetspeak(joined, lexicon);
  return without.includes('word breaks') ? spelled : breakWords(spelled, lexicon);
}

type Turning = { turn: (text: string) => string; lexicon: Lexicon; others?: readonly ((text: string) => string)[] };

/** Returns the text with its turned stretch turned back, on lines of its own. */
function turned(text: string, { turn, lexicon, others = [] }: Turning): string[] {
  const stretch = turnedStretch(text, turn, lexicon);
  if (stretch === undefined) return [];
  const { start, end } = stretch;
  const hidden = text.slice(start, end);
  return [turn, ...others].map((way) => `${text.slice(0, start)}\n${way(hidden)}\n${text.slice(end)}`);
}
