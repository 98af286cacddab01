/**
 * Ways to write a text in another alphabet, for our own prompts and for attacks. They share no code
 * with the edge's decoders, so that neither can hide a bug in the other.
 */
const LETTER = /[a-z]/gi;

export const base64 = (text: string) => Buffer.from(text).toString('base64');
export const hex = (text: string) => Buffer.from(text).toString('hex');
export const backwards = (text: string) => Array.from(text).toReversed().join('');
export const rot13 = (text: string) =>
  text.replace(LETTER, (letter) => {
    const alphabet = letter < 'a' ? 'ABCDEFGHIJKLMNOPQRSTUVWXYZ' : 'abcdefghijklmnopqrstuvwxyz';
    return alphabet[(alphabet.indexOf(letter) + 13) % 26]!;
  });
