/** One question or request written for this project. */
import type { Label } from '#shared/line/categories.ts';
import type { Split } from './example.ts';

/** `label` is null for a safe question. */
export type Question = { text: string; label: Label | null; split: Split; scary: boolean };

/** Puts a phrase into the `{}` of a frame. */
export function fill(frame: string, phrase: string): string {
  return frame.replace('{}', () => phrase);
}
