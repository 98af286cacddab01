/**
 * Pairs of prompts in nearly the same words, one harmless and one not, from `data/contrast`. They
 * show how much meaning a model of words can learn. A template is one pattern ("Blow up ...") with
 * several pairs. The split is by template, so held-out pairs show patterns never seen before, not
 * new words in old patterns.
 */
import { LABELS, type Label } from '#shared/line/categories.ts';
import { BENIGN, type Example, targetsOf } from './example.ts';
import { CONTRAST_SOURCE } from './licences.ts';
import { loadContrast } from './own-files.ts';
import { CONTRAST_WEIGHT, JAILBREAK_CONTRAST_WEIGHT } from './recipe.ts';
import { splitOf } from './split.ts';

/** `contrast` says which label and which template a row comes from. */
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
