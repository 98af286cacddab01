/**
 * The second look: a backend reads the prompt with a probe before the first token, and tightens the
 * line by the policy's own rules. It never loosens it. Backend and edge compute the tightened line
 * with this very code, from the probabilities as the receipt has them, so the edge can check it.
 */
import * as z from 'zod';
import type { CategoryProbability, LookReport } from '#shared/api/plimsoll-extension.ts';
import { JUDGEMENTS, SIGNALS, type Signal } from '#shared/line/categories.ts';
import { type Line, modeAlone, type Opening, Share } from '#shared/line/line.ts';
import { SignalRules, type SignalValues, tightenBy } from '#shared/line/rules.ts';

/**
 * What the directive says of it: the rules of the policy, and `base`, the policy's own floor, from
 * which their ramps rise.
 */
export const SecondLook = z.strictObject({ base: Share, rules: SignalRules });
export type SecondLook = z.infer<typeof SecondLook>;

/** @param probabilities in the order of JUDGEMENTS. What is not a number counts as 1. */
export function lookCategories(probabilities: readonly number[]): CategoryProbability[] {
  return JUDGEMENTS.map((name, i) => {
    const probability = probabilities[i] ?? 1;
    return { name, probability: Number.isNaN(probability) ? 1 : Math.round(probability * 1e4) / 1e4 };
  });
}

export type Looked = {
  /** If the answer is refused, the safety expert's alone. Nothing is drawn under it. */
  line: Line;
  refused: boolean;
} & Pick<LookReport, 'tightened' | 'because'>;

/**
 * The line after the look. Two of a policy's signals are not judgements: `unread` and `uncertain`
 * are about how well the edge understood the text, and have tightened the directive's line already.
 */
export function lineAfterLook(
  line: Line,
  { base, rules }: SecondLook,
  categories: readonly CategoryProbability[],
): Looked {
  const known = Object.fromEntries(categories.map(({ name, probability }) => [name, probability]));
  const signals: SignalValues = { ...known, unread: 0, uncertain: 0 };
  const tightened = tightenBy(line, { base, rules, signals });
  const { budget, action, because } = tightened;
  if (action === 'refuse') {
    const mode = modeAlone(line.mode);
    const strictest = { ...line, action: 'safety_only', mode, floor: 1, ceiling: 1, budget } as const;
    return { line: strictest, refused: true, tightened: true, because };
  }
  const floor = action === 'safety_only' ? 1 : tightened.floor;
  // The edge has settled for the floor where the two crossed, so a ceiling below it is no news.
  const ceiling = Math.max(tightened.ceiling, floor);
  const { opening } = tightened;
  const isAsBefore =
    floor === line.floor &&
    ceiling === line.ceiling &&
    isSame(opening, line.opening) &&
    budget === line.budget &&
    action === line.action;
  if (isAsBefore) return { line, refused: false, tightened: false, because: null };
  const alone = (signal: Signal) =>
    tightenBy(line, { base, rules: rules[signal] ? { [signal]: rules[signal] } : {}, signals });
  const decides = (signal: Signal): boolean => {
    const own = alone(signal);
    if (action !== line.action) return own.action === action;
    if (floor !== line.floor) return own.floor === floor;
    if (budget !== line.budget) return own.budget === budget;
    if (opening.floor !== line.opening.floor) return own.opening.floor === opening.floor;
    if (opening.tokens !== line.opening.tokens) return own.opening.tokens === opening.tokens;
    return Math.max(own.ceiling, floor) === ceiling;
  };
  return {
    line: {
      ...line,
      action,
      mode: action === 'mix' ? line.mode : modeAlone(line.mode),
      floor,
      ceiling,
      opening,
      budget,
    },
    refused: false,
    tightened: true,
    because: SIGNALS.find(decides) ?? null,
  };
}

const isSame = (a: Opening, b: Opening) => a.tokens === b.tokens && a.floor === b.floor;
