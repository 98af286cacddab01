/**
 * A classifier that is told what to find: `[[violence=0.9]]` in the text, for any signal.
 * `[[classifier:throws]]`, `[[classifier:nan]]` and `[[classifier:silent]]` make it fail in each
 * way that a real one can. `[[work=N]]` makes it do work in N slices before it answers.
 */

import type { Classifier, Signals } from '#shared/classify/classify.ts';
import { CATEGORIES, SIGNALS } from '#shared/line/categories.ts';

const UNASKED: Partial<Signals> = { unread: 0, uncertain: 0 };

/**
 * Works for some tenths of a millisecond, without a clock, because the clock stands still in a
 * Worker.
 */
function busy(): void {
  let sum = 0;
  for (let i = 0; i < 200_000; i++) sum += Math.sqrt(i);
  if (sum < 0) throw new Error('never');
}

function judge(text: string): Signals {
  if (text.includes('[[classifier:throws]]')) throw new Error('scripted failure');
  // The cast: some tests are about a classifier that breaks its promise.
  if (text.includes('[[classifier:silent]]')) return {} as Signals;
  const broken = text.includes('[[classifier:nan]]');
  const told = SIGNALS.map((signal) => {
    const marked = new RegExp(`\\[\\[${signal}=([0-9.]+)\\]\\]`).exec(text)?.[1];
    return [signal, broken && signal === 'violence' ? Number.NaN : Number(marked ?? UNASKED[signal] ?? 0.01)];
  });
  // The cast: every signal was just given.
  const signals = Object.fromEntries(told) as Signals;
  // As with the real one, harm of any kind is at least as likely as harm of each kind.
  return { ...signals, any_harm: Math.max(signals.any_harm, ...CATEGORIES.map((category) => signals[category])) };
}

export const scriptedClassifier: Classifier = {
  version: 'scripted',
  classify: judge,
  *inSlices(text) {
    const slices = Number(/\[\[work=(\d+)\]\]/.exec(text)?.[1] ?? 0);
    for (let slice = 0; slice < slices; slice++) {
      busy();
      yield 10_000;
    }
    return judge(text);
  },
};
