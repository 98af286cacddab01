/**
 * Lower-case letters of other scripts that look like a Latin one: a small part of Unicode's confusables (UTS #39), those
 * that keyboards and copy-and-paste offer; some look Latin as capitals only. Full-width, mathematical and circled letters
 * are NFKC's business, not ours.
 */
const LOOKALIKES = {
  a: 'аαɑ',
  b: 'вьƅ',
  c: 'сϲ',
  d: 'ԁɗ',
  e: 'еєε',
  g: 'ɡ',
  h: 'һհн',
  i: 'іιıɩ',
  j: 'јϳ',
  k: 'кκ',
  l: 'ӏⅼ',
  m: 'м',
  n: 'ոп',
  o: 'оοσօ',
  p: 'рρ',
  q: 'ԛգ',
  r: 'гɾ',
  s: 'ѕꜱ',
  t: 'тτ',
  u: 'υսʋ',
  v: 'νѵ',
  w: 'ԝωɯ',
  x: 'хχ',
  y: 'уγү',
  z: 'ᴢ',
} as const;

const LATIN = new Map(
  Object.entries(LOOKALIKES).flatMap(([latin, others]) => [...others].map((other) => [other, latin])),
);
const LETTERS = /[a-z\u0080-\uffff]+/g;
const WHOLLY_LATIN = /^[a-z]+$/;

/**
 * Lower-case text in, with look-alikes turned Latin where that makes a word wholly Latin. A word of nothing but
 * look-alikes ("как") stays when another word shows that the text really is in that script.
 */
export function foldConfusables(text: string): string {
  if (!/[\u0080-\uffff]/.test(text)) return text;
  const words = text.match(LETTERS) ?? [];
  const otherScript = words.some((word) => !WHOLLY_LATIN.test(toLatin(word)));
  return text.replace(LETTERS, (word) => {
    const latin = toLatin(word);
    return WHOLLY_LATIN.test(latin) && (!otherScript || /[a-z]/.test(word)) ? latin : word;
  });
}

function toLatin(word: string): string {
  return word.replace(/[^a-z]/g, (letter) => LATIN.get(letter) ?? letter);
}
