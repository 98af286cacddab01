/** A text's sentences, and other pieces that stand alone in it: lines, string values, cells. */

/** This many words say something alone. Shorter parts are joined with their neighbours. */
const LEAST_WORDS = 5;
/**
 * Fewer words than this, even joined, are read only together with the text around them: "lies" or
 * "hide" alone says nothing.
 */
const LEAST_WORDS_TOGETHER = 3;
/** Short parts are joined up to this many words, about the length of a request. */
const MOST_WORDS_TOGETHER = 14;

/** A sentence keeps its end mark, because a question asked alone has one too. */
const SENTENCE = /(?<=[.!?;]["')\]]{0,3})\s+|(?<=[。！？])|\n/g;
/** Signs around strings, cells, tags and emphasis, and signs that begin a comment. */
const FIELD = /["{}[\]|<>*_`#=\n]+|\/\/|\/\*/g;
const HAS_FIELDS = /["{}[\]|<>*_`#=]|\/\//;

export function sentencesOf(text: string): string[] {
  return joined(text.split(SENTENCE));
}

/**
 * String values, cells and the like. There are none if a text has no such signs. A prompt may be
 * one field of many.
 */
export function fieldsOf(text: string): string[] {
  return HAS_FIELDS.test(text) ? joined(text.split(FIELD)) : [];
}

/** Returns each part that has enough words, and joins the shorter parts between them. */
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
      if (countWords(short) > MOST_WORDS_TOGETHER) flush();
    }
  }
  flush();
  return all;
}

export function countWords(text: string): number {
  let words = 0;
  for (let i = 0; i < text.length; i++) if (isWordStart(text, i)) words++;
  return words;
}

function isWordStart(text: string, at: number): boolean {
  return text.charCodeAt(at) > 0x20 && (at === 0 || text.charCodeAt(at - 1) <= 0x20);
}
