/**
 * Cuts an answer into sentences. We cut the tagged texts the same way, so that both sides share any
 * mistakes.
 */

/** A full stop after these ends a sentence only if a capital follows. */
const ABBREVIATION = /(?:^|[\s(])(?:e\.g|i\.e|a\.m|p\.m|etc|approx|vs|no|min|max|incl)\.$/i;
const TITLE = /(?:^|\s)(?:Dr|Mr|Mrs|Ms|St)\.$/;

/** `splitSentences('Rinse well. Is it clean?')` is `['Rinse well.', 'Is it clean?']` */
export function splitSentences(text: string): string[] {
  const sentences: string[] = [];
  for (const piece of text.split(/(?<=[.!?]["'”’)]*)\s+|\s*\n+\s*/)) {
    const last = sentences.at(-1);
    const continues =
      last !== undefined && (TITLE.test(last) || (ABBREVIATION.test(last) && !/^["'“‘(]*[A-Z]/.test(piece)));
    if (continues) sentences[sentences.length - 1] = `${last} ${piece}`;
    else if (/[\p{L}\p{N}]/u.test(piece)) sentences.push(piece);
  }
  return sentences;
}
