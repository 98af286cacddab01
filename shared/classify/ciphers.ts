/**
 * Finds text in rot13 or written backwards: the stretch of a text, if any, that is likelier to be
 * English when turned around. Each word's gain is what turning it saves in the lexicon's costs. One
 * pass finds the stretch with the largest sum of gains (Kadane's maximum subarray). So a frame
 * around it ("decode this: ...") stays as it is.
 */
import type { Lexicon } from './lexicon.ts';

/**
 * The turned stretch must be likelier by this many nats. Honest texts stay below, even if a word or
 * two happen to be words both ways.
 */
const LEAST_GAIN = 8;
const WORD = /[\p{L}\p{N}']+/gu;

type Stretch = { start: number; end: number };

/**
 * The stretch of `text` whose words read best when each is turned by `turn`. undefined if turning
 * does not help.
 */
export function turnedStretch(text: string, turn: (word: string) => string, lexicon: Lexicon): Stretch | undefined {
  let best = { gain: 0, start: 0, end: 0 };
  let current = { gain: 0, start: 0 };
  for (const { 0: raw, index } of text.matchAll(WORD)) {
    const word = raw.toLowerCase();
    const turned = turn(word);
    const gain = turned === word ? 0 : lexicon.cost(word) - lexicon.cost(turned);
    // A word that is unknown both ways belongs with its neighbours.
    const isUnknown = gain === 0 && !lexicon.has(word);
    if (current.gain < 0 || (current.gain === 0 && !isUnknown)) current = { gain: 0, start: index };
    current.gain += gain;
    const goesOn = isUnknown && current.gain === best.gain && current.start === best.start;
    if (current.gain > best.gain || goesOn) best = { ...current, end: index + raw.length };
  }
  return best.gain >= LEAST_GAIN ? { start: best.start, end: best.end } : undefined;
}

export function rot13(text: string): string {
  let turned = '';
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const first = code & 0x60;
    const letter = code - first - 1;
    const isLetter = code < 0x80 && first >= 0x40 && letter >= 0 && letter < 26;
    turned += isLetter ? String.fromCharCode(first + 1 + ((letter + 13) % 26)) : text[i];
  }
  return turned;
}

export function reversed(text: string): string {
  let turned = '';
  for (let end = text.length; end > 0; ) {
    const code = text.charCodeAt(end - 1);
    // Whether this is the second half of a character of two units, with its first half before it.
    const isPair = code >= 0xdc00 && code < 0xe000 && end > 1 && (text.charCodeAt(end - 2) & 0xfc00) === 0xd800;
    const start = end - (isPair ? 2 : 1);
    turned += text.slice(start, end);
    end = start;
  }
  return turned;
}

/** Turns "woh od i" into "how do i": each word backwards, in the same order. */
export function reversedWords(text: string): string {
  return text.replace(WORD, reversed);
}
