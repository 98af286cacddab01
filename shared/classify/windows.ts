/**
 * A text in pieces, because one bad sentence in a long harmless text moves its sum of weights too little to be seen. In
 * three sizes, since nobody knows how much of a text belongs together: pieces of about a prompt's length, single
 * sentences, and, where a sentence is long, overlapping stretches of it: a text without a full stop has no other place to be cut.
 * String values and cells are pieces of their own: a prompt may be one field of many.
 */

/** Characters of a large piece: a line may end one from here on, ... */
const LEAST_LINE = 24;
/** ... a sentence from here on, ... */
const LEAST_SENTENCE = 120;
/** ... and here it ends anyway. Most prompts are shorter. */
export const MOST = 300;
/** Words that say something alone; shorter sentences go together with their neighbours. */
const LEAST_WORDS = 5;
/** Fewer, even together, are read only with what stands around them: "lies" or "hide" alone says nothing. */
const LEAST_WORDS_TOGETHER = 3;
/**
 * A longer sentence is also read in stretches. From 20 words on that found nobody more who hid in a paragraph, and flagged
 * twice as many harmless ones: a clause by itself says more than was meant.
 */
const MOST_WORDS = 30;
/** Of so many words, as many as a request has, each beginning a third of a stretch after the last, ... */
const STRETCH_WORDS = 14;
const STRIDE_WORDS = 5;
/** Nobody writes so long a sentence: words without a full stop, in which a request's end is marked at most. */
const RUN_ON_WORDS = 60;
const TAIL_WORDS = [6, 8, 10, 12];
/** A short request among other words: the stretches above would dilute it. */
const SHORT_STRETCH_WORDS = 8;
const SHORT_STRIDE_WORDS = 3;
/** ... and of so many characters at most, where words are long or there are none. */
const MOST_STRETCH_CHARS = 160;

const SENTENCE_END = /[.!?;:]["')\]]*\s|[。！？]/g;
const SENTENCE = /[.!?;]["')\]]*\s+|[。！？]|\n/g;
/** What stands around strings, cells, tags and emphasis, and what begins a comment. */
const FIELD = /["{}[\]|<>*_`#=\n]+|\/\/|\/\*/g;
const HAS_FIELDS = /["{}[\]|<>*_`#=]|\/\//;
const WORD = /[^\s]+/g;

/** Pieces of a normalised text, none twice; none where the text is itself one short sentence. */
export function windowsOf(text: string): string[] {
  const pieces = new Set<string>(largePieces(text));
  for (const sentence of joined(text.split(SENTENCE))) {
    pieces.add(sentence);
    for (const stretch of stretchesOf(sentence)) pieces.add(stretch);
  }
  if (HAS_FIELDS.test(text)) {
    for (const field of joined(text.split(FIELD))) pieces.add(field);
  }
  pieces.delete('');
  pieces.delete(text);
  return [...pieces];
}

/** Each by itself that has words enough, the shorter ones between them together. */
function joined(parts: readonly string[]): string[] {
  const all: string[] = [];
  let short = '';
  const flush = () => {
    if (countWords(short) >= LEAST_WORDS_TOGETHER) all.push(short);
    short = '';
  };
  for (const part of parts) {
    const trimmed = part.trim();
    if (trimmed === '') continue;
    if (countWords(trimmed) >= LEAST_WORDS) {
      flush();
      all.push(trimmed);
    } else {
      short = short === '' ? trimmed : `${short} ${trimmed}`;
      if (countWords(short) > STRETCH_WORDS) flush();
    }
  }
  flush();
  return all;
}

function countWords(text: string): number {
  let words = 0;
  for (let i = 0; i < text.length; i++) if (isWordStart(text, i)) words++;
  return words;
}

function isWordStart(text: string, at: number): boolean {
  return text.charCodeAt(at) > 0x20 && (at === 0 || text.charCodeAt(at - 1) <= 0x20);
}

/** Overlapping stretches of a long sentence; the last one ends where it ends. */
function stretchesOf(sentence: string): string[] {
  if (sentence.length <= 2 * MOST_STRETCH_CHARS && countWords(sentence) <= MOST_WORDS) return [];
  const words = Array.from(sentence.matchAll(WORD), ({ 0: word, index }) => ({
    start: index,
    end: index + word.length,
  }));
  const stretches: string[] = [];
  const { length } = words;
  if (length > RUN_ON_WORDS)
    for (const tail of TAIL_WORDS)
      stretches.push(sentence.slice(Math.max(words[length - tail]!.start, sentence.length - MOST_STRETCH_CHARS)));
  const add = (start: number, end: number) => {
    // Words without end are cut, overlapping too.
    for (let from = start; from < end; from += MOST_STRETCH_CHARS / 2) {
      const to = Math.min(end, from + MOST_STRETCH_CHARS);
      stretches.push(sentence.slice(from, to));
      if (to === end) break;
    }
  };
  const addAll = (size: number, stride: number) => {
    for (let first = 0; first + size < length; first += stride) add(words[first]!.start, words[first + size - 1]!.end);
    add(words[Math.max(0, length - size)]!.start, words[length - 1]!.end);
  };
  addAll(STRETCH_WORDS, STRIDE_WORDS);
  if (length > RUN_ON_WORDS) addAll(SHORT_STRETCH_WORDS, SHORT_STRIDE_WORDS);
  return stretches;
}

/** In order and together all of the text. */
function largePieces(text: string): string[] {
  const pieces: string[] = [];
  for (let start = 0; start < text.length; ) {
    const end = start + pieceLength(text.slice(start, start + MOST + 1));
    pieces.push(text.slice(start, end).trim());
    start = end;
  }
  return pieces;
}

/** To the first line end, else the last sentence end, else the last space that leaves a piece of fair size. */
function pieceLength(ahead: string): number {
  const line = ahead.indexOf('\n', LEAST_LINE);
  if (line !== -1) return line + 1;
  if (ahead.length <= MOST) return ahead.length;
  let sentence = 0;
  for (const { 0: mark, index } of ahead.matchAll(SENTENCE_END)) sentence = index + mark.length;
  if (sentence >= LEAST_SENTENCE) return sentence;
  const space = ahead.lastIndexOf(' ');
  return space >= LEAST_SENTENCE ? space + 1 : MOST;
}
