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

const NO_LENGTH = { least: 0, most: 0 };
const NO_OPTION = { least: Infinity, most: 0 };

/** How many characters its texts have at the least and at the most. */
export function lengthsOf(pattern: Pattern): { least: number; most: number } {
  switch (pattern.kind) {
    case 'chars':
      return { least: 1, most: 1 };
    case 'sequence':
      return pattern.parts
        .map(lengthsOf)
        .reduce((a, b) => ({ least: a.least + b.least, most: a.most + b.most }), NO_LENGTH);
    case 'choice':
      return pattern.options
        .map(lengthsOf)
        .reduce((a, b) => ({ least: Math.min(a.least, b.least), most: Math.max(a.most, b.most) }), NO_OPTION);
    case 'repeat': {
      const { least, most } = lengthsOf(pattern.part);
      // What reads nothing may be repeated without end, and still reads nothing.
      const often = most === 0 ? 0 : (pattern.max ?? Infinity) * most;
      return { least: pattern.min * least, most: pattern.max === 0 ? 0 : often };
    }
    default:
      return pattern satisfies never;
  }
}
