/** Cuts an answer into sentences. The same cut is used for the tagged texts, so that both sides agree on its faults. */

/** A full stop behind these ends no sentence unless a capital follows. */
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
