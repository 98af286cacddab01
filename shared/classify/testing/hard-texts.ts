/**
 * Texts far longer than any prompt, each a worst case for some code that reads them. Each is a name
 * and about a megabyte of text.
 */
const MEGABYTE = 1_000_000;
/** The given letters, in an order without a pattern. */
const scattered = (letters: string) => {
  let state = 7;
  return Array.from({ length: MEGABYTE / 4 }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return letters[Math.floor((state / 2 ** 32) * letters.length)];
  }).join('');
};
const repeat = (part: string) => part.repeat(Math.ceil(MEGABYTE / part.length));

export const HARD_TEXTS: readonly (readonly [name: string, text: string])[] = [
  ['words', Array.from({ length: 160_000 }, (_, i) => `w${(i * 7919) % 99_991}`).join(' ')],
  ['one letter', repeat('a')],
  ['one letter that looks Latin', repeat('\u0430')],
  ['single letters', repeat('a ')],
  ['letters with signs between', repeat('a.')],
  ['tied words', repeat('ab.cd,')],
  ['apostrophes', repeat("a'")],
  ['digits', repeat('1')],
  ['signs that may be letters', repeat('!|1')],
  ['leetspeak', repeat('h0w ')],
  ['base64 letters without an end', repeat('aB3d')],
  ['base64 in lines', repeat(`${'A'.repeat(76)}\n`)],
  ['short base64 messages', repeat('aG93IHRvIGJha2U= ')],
  ['hex bytes', repeat('61 ')],
  ['beginnings of hex', repeat('0x')],
  ['percent escapes', repeat('%61')],
  ['character escapes', repeat('&#97;')],
  ['beginnings of escapes', repeat('\\x')],
  ['rot13', repeat('ubj gb onxr n pnxr ')],
  ['backwards', repeat('ekac a ekab ot woh ')],
  ['empty lines', repeat('\n ')],
  ['short lines', repeat('bake\n')],
  ['invisible characters', repeat('\u200b')],
  ['tag letters', repeat('\u{e0061}')],
  ['characters that normalise to eighteen', repeat('\ufdfa')],
  ['accents', `e${repeat('\u0301')}`],
  ['marks that want sorting', `\u0915${repeat('\u094d\u093c')}`],
  ['leetspeak without spaces', scattered('abcdefghijklmnoprst0134578@$!|')],
  ['leetspeak in long words', scattered('abcdeghiorst0134567!|(6').replace(/.{20}/g, '$& ')],
  ['any signs', scattered(Array.from({ length: 95 }, (_, i) => String.fromCharCode(0x20 + i)).join(''))],
  ['words that nobody knows', scattered('aeioustrnl').replace(/.{7}/g, '$& ')],
  ['short words without a full stop', scattered('abcdefghijklmnop').replace(/(.{1,3})(.{4})/g, '$1 $2 ')],
  ['scripts mixed', scattered('aбвгдеαβγδ жк')],
  ['stars and signs in words', repeat('b*mb a.b-c~d ')],
  ['rows of fields', repeat('"{a b c d e},')],
];
