/**
 * How well the model tells the two sides of contrast pairs apart, and how many prompts on each side
 * raise a floor.
 */
import type { Signals } from '#shared/classify/classify.ts';
import type { ContrastExample } from './contrast-prompts.ts';
import type { Example, Split } from './example.ts';
import { rocAuc, type Scored } from './metrics.ts';
import { loadContrastCheck } from './own-files.ts';
import { ANY_HARM_RAMP } from './recipe.ts';
import { isUnsafe } from './targets.ts';

export type SidedPrompt = { text: string; unsafe: boolean };
export type ContrastFigures = {
  set: string;
  by: 'any_harm' | 'jailbreak';
  pairs: number;
  auc: number | undefined;
  /** The share of each side that is above the start of the ramp. */
  unsafeRising: number;
  safeRising: number;
  /** The trade-off: the share of each side above each threshold. */
  curve: { from: number; unsafe: number; safe: number }[];
};

const THRESHOLDS = [0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.875, 0.9, 0.925, 0.95];

export function contrastFigures(
  classify: (text: string) => Signals,
  { set, by, prompts }: Pick<ContrastFigures, 'set' | 'by'> & { prompts: readonly SidedPrompt[] },
): ContrastFigures {
  const scored = prompts.map(({ text, unsafe }): Scored => ({ score: classify(text)[by], positive: unsafe }));
  const above = (threshold: number, side: boolean) => {
    const rows = scored.filter(({ positive }) => positive === side);
    return rows.filter(({ score }) => score > threshold).length / rows.length;
  };
  return {
    set,
    by,
    pairs: prompts.length / 2,
    auc: rocAuc(scored),
    unsafeRising: above(ANY_HARM_RAMP.from, true),
    safeRising: above(ANY_HARM_RAMP.from, false),
    curve: THRESHOLDS.map((from) => ({ from, unsafe: above(from, true), safe: above(from, false) })),
  };
}

/**
 * The card's sets: the held-out templates, the templates on which we chose settings, and the check
 * file, which trains nothing.
 */
export function contrastSets(
  examples: readonly Example[],
): (Pick<ContrastFigures, 'set' | 'by'> & { prompts: SidedPrompt[] })[] {
  const ofPairs = examples.filter((example): example is ContrastExample => 'contrast' in example);
  const of = (split: Split, jailbreak: boolean) =>
    ofPairs
      .filter((each) => each.split === split && (each.contrast.label === 'jailbreak') === jailbreak)
      .map((each): SidedPrompt => ({ text: each.text, unsafe: isUnsafe(each) === true }));
  const check = loadContrastCheck().flatMap(({ pairs }) =>
    pairs.flatMap(({ safe, unsafe }): SidedPrompt[] => [
      { text: safe, unsafe: false },
      { text: unsafe, unsafe: true },
    ]),
  );
  return [
    { set: 'held-out templates', by: 'any_harm', prompts: of('heldout', false) },
    { set: 'templates for choosing', by: 'any_harm', prompts: of('calibration', false) },
    { set: 'contrast-check.json', by: 'any_harm', prompts: check },
    { set: 'held-out templates of jailbreaks', by: 'jailbreak', prompts: of('heldout', true) },
  ];
}
