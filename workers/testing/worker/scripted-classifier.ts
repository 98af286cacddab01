/**
 * A classifier that is told what to find: `[[violence=0.9]]` in the text. `[[classifier:throws]]`, `[[classifier:nan]]` and
 * `[[classifier:silent]]` make it fail in each of the ways a real one can.
 */
import { LABELS } from '#shared/api/categories.ts';
import type { Classifier } from '#shared/classify/classify.ts';

export const scriptedClassifier: Classifier = {
  version: 'scripted',
  classify(text) {
    if (text.includes('[[classifier:throws]]')) throw new Error('scripted failure');
    if (text.includes('[[classifier:silent]]')) return [];
    const broken = text.includes('[[classifier:nan]]');
    return LABELS.map((label) => {
      const marked = new RegExp(`\\[\\[${label}=([0-9.]+)\\]\\]`).exec(text)?.[1];
      return { label, probability: broken && label === 'violence' ? Number.NaN : Number(marked ?? 0.01) };
    });
  },
};
