/**
 * The words of a sentence as the oracle compares them: in lower case, without punctuation, with
 * endings cut and negations kept.
 */

const CONTRACTIONS: readonly (readonly [RegExp, string])[] = [
  [/\bcan(?:no|')t\b|\bcant\b/g, 'can not'],
  [/\bwon'?t\b/g, 'will not'],
  [/\b(do|does|did|is|are|was|were|has|have|had|should|would|could|must|need)n'?t\b/g, '$1 not'],
  [/'(?:s|m|re|ve|ll|d)\b/g, ''],
];

/** A warning that loses one of these says the opposite. */
export const REVERSING_NEGATIONS: ReadonlySet<string> = new Set(['not', 'never', 'no', 'without', 'avoid', 'nobody']);

/** Words that turn advice into a warning. The oracle always gives them a high weight. */
export const NEGATIONS: ReadonlySet<string> = new Set([...REVERSING_NEGATIONS, 'nothing', 'only']);

/** `sentenceWords("Don't mix cleaners!")` is `['do', 'not', 'mix', 'cleaner']` */
export function sentenceWords(sentence: string): string[] {
  let text = sentence.toLowerCase().replace(/[’‘]/g, "'");
  for (const [pattern, replacement] of CONTRACTIONS) text = text.replace(pattern, replacement);
  return (text.match(/[\p{L}\p{N}]+/gu) ?? []).map(stem);
}

/** Cuts only plural and verb endings, so that different words rarely become the same. */
function stem(word: string): string {
  if (word.length <= 3 || NEGATIONS.has(word)) return word;
  const cut = word
    .replace(/(?:ies|ied)$/, 'y')
    .replace(/(?<=ss|sh|ch|x|z)es$/, '')
    .replace(/(?<=[^su])s$/, '');
  const bare = cut.replace(/(?<=[a-z]{3})(?:ing|ed|ly)$/, '').replace(/([b-df-hj-kmnp-rtv-z])\1$/, '$1');
  return bare.length > 3 ? bare.replace(/e$/, '') : bare;
}
