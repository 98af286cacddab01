/**
 * Lower-case letters of other scripts that look like a Latin one. It is a small part of Unicode's
 * confusables (UTS #39): those that keyboards and copy-and-paste offer. Some look Latin only as
 * capitals. NFKC handles full-width, mathematical and circled letters.
 */
const LOOKALIKES = {
  a: 'аαɑᴀꭺ',
  b: 'вьƅʙᏼꮟ',
  c: 'сϲςᴄꮯ',
  d: 'ԁɗᴅꭰđ',
  e: 'еєεᴇꭼ',
  f: 'ƒꞙꜰϝ',
  g: 'ɡɢꮐԍ',
  h: 'һհнʜꮋħ',
  i: 'іιıɩɪꭵ',
  j: 'јϳᴊꭻ',
  k: 'кκᴋꮶƙ',
  l: 'ӏⅼʟꮮł',
  m: 'мᴍꮇ',
  n: 'ոпɴŋ',
  o: 'оοσօᴏø',
  p: 'рρᴘꮲƥ',
  q: 'ԛգ',
  r: 'гɾʀꭱ',
  s: 'ѕꜱꮪ',
  t: 'тτᴛꭲŧ',
  u: 'υսʋᴜ',
  v: 'νѵᴠꮩ',
  w: 'ԝωɯᴡꮃ',
  x: 'хχ',
  y: 'уγүʏ',
  z: 'ᴢꮓ',
} as const;

const LATIN = new Map(
  Object.entries(LOOKALIKES).flatMap(([latin, others]) => [...others].map((other) => [other, latin])),
);
const WORD = /[a-z\u0080-\uffff]+/g;
const WHOLLY_LATIN = /^[a-z]+$/;
/** The scripts in the table. A letter outside them tells nothing about a word. */
const SCRIPTS = [
  /\p{Script=Latin}/u,
  /\p{Script=Cyrillic}/u,
  /\p{Script=Greek}/u,
  /\p{Script=Armenian}/u,
  /\p{Script=Cherokee}/u,
];

/**
 * Takes lower-case text and turns look-alikes into Latin letters. A word that mixes scripts is a
 * disguise, so each of its letters is turned. A word in one other script ("как") is turned if it
 * becomes wholly Latin. It stays if another word ("привет") shows that the text really is in that
 * script.
 */
export function foldConfusables(text: string): string {
  if (!/[\u0080-\uffff]/.test(text)) return text;
  const words = text.match(WORD) ?? [];
  const foreign = words.some((word) => !isMixed(word) && !/[a-z]/.test(word) && !WHOLLY_LATIN.test(toLatin(word)));
  return text.replace(WORD, (word) => {
    if (WHOLLY_LATIN.test(word)) return word;
    const latin = toLatin(word);
    return isMixed(word) || (!foreign && WHOLLY_LATIN.test(latin)) ? latin : word;
  });
}

function isMixed(word: string): boolean {
  return SCRIPTS.filter((script) => script.test(word)).length > 1;
}

function toLatin(word: string): string {
  return word.replace(/[^a-z]/g, (letter) => LATIN.get(letter) ?? letter);
}
