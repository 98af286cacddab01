/**
 * What ships is no run of a study: it may have learned from more pairs than the methods beside it,
 * and then a difference between them is none of methods.
 */
import type { MethodInfo } from '../results/results.ts';
import type { Study } from './study.ts';

/** Whether a method is the bundle that ships, which no run of this study has made. */
export const isShipped = ({ results: { shipped } }: Study, { family, frontier }: MethodInfo): boolean =>
  shipped !== null && (family === 'served' || frontier !== undefined);

/** `4 times as much`, as far as the commands say it; null if they do not. */
export function timesAsMuch({ results: { shippedFrom = '', learnedFrom } }: Study): string | null {
  if (!shippedFrom.includes('train smollm2') || !learnedFrom.includes('train smollm2')) return null;
  const ships = Number(/--scale ([\d.]+)/.exec(shippedFrom)?.[1] ?? 1);
  const others = Number(/at ([\d.]+) of its size/.exec(learnedFrom)?.[1] ?? 1);
  return ships > others ? `${Number((ships / others).toFixed(1))} times as much` : null;
}

/** What a sentence about what is served has to add. Empty if nothing that ships was asked. */
export function servedLearnedMore(study: Study): string {
  const times = timesAsMuch(study);
  if (study.results.shipped === null) return '';
  return times === null
    ? ' What is served was trained apart, so this does not compare methods.'
    : ` What is served learned from ${times} as any of these methods, so this does not compare methods.`;
}
