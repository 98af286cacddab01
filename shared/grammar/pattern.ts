/** A regular language of texts, as a tree over sets of characters. */
import { type CharSet, charsOf } from './char-set.ts';

export type Pattern =
  | { kind: 'chars'; set: CharSet }
  | { kind: 'sequence'; parts: readonly Pattern[] }
  | { kind: 'choice'; options: readonly Pattern[] }
  /** max null: any number. */
  | { kind: 'repeat'; part: Pattern; min: number; max: number | null };

export const chars = (set: CharSet): Pattern => ({ kind: 'chars', set });
export const sequence = (...parts: readonly Pattern[]): Pattern => ({ kind: 'sequence', parts });
export const choice = (...options: readonly Pattern[]): Pattern => ({ kind: 'choice', options });
export const repeat = (part: Pattern, min: number, max: number | null): Pattern => ({
  kind: 'repeat',
  part,
  min,
  max,
});
export const literal = (text: string): Pattern => sequence(...[...text].map((char) => chars(charsOf(char))));
export const NOTHING = sequence();
