/**
 * Pairs of prompts in nearly the same words, one harmless and one not, from `data/contrast`: what a
 * model of words can learn of meaning. A template is one pattern ("Blow up ...") with several
 * pairs; the split is by template, so that what is held out shows patterns never seen, not new
 * words in old ones.
 */
import { LABELS, type Label } from '#shared/line/categories.ts';
import { BENIGN, type Example, targetsOf } from './example.ts';
import { CONTRAST_SOURCE } from './licences.ts';
import { loadContrast } from './own-files.ts';
import { CONTRAST_WEIGHT, JAILBREAK_CONTRAST_WEIGHT } from './recipe.ts';
import { splitOf } from './split.ts';

/** `contrast`: which pattern of which category a row is of. */
export type ContrastExample = Example & { contrast: { label: Label; template: string } };

export function contrastPrompts(): ContrastExample[] {
  return LABELS.flatMap((label) =>
    loadContrast(label).flatMap(({ template, pairs }) => {
      const shared = {
        source: CONTRAST_SOURCE,
        split: splitOf(`contrast/${label}/${template}`),
        someHarm: false,
        weight: label === 'jailbreak' ? JAILBREAK_CONTRAST_WEIGHT : CONTRAST_WEIGHT,
        contrast: { label, template },
      };
      return pairs.flatMap(({ safe, unsafe }): ContrastExample[] => [
        { ...shared, text: safe, targets: BENIGN, scary: true },
        { ...shared, text: unsafe, targets: targetsOf([label]), scary: false },
      ]);
    }),
  );
}
