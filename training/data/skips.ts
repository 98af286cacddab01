/** Why rows are left out. We count them, so that a stage can say what it did not learn from. */
export const SKIP_REASONS = {
  noAnswer: 'without an answer at the end',
  promptsDiffer: 'on two different prompts',
  contradicted: 'answers called safe as often as unsafe',
  noRival: 'answers without one of the other label',
  noVerdict: 'ties or without a verdict',
  emptyPrompt: 'with an empty prompt',
  emptyAnswer: 'with an empty answer',
  equalAnswers: 'with equal answers',
  longDialogue: 'longer than the real conversations that are taken',
  longPrompt: 'with a prompt longer than the context',
  longAnswer: 'with an answer that does not fit the context',
} as const;
export type SkipReason = keyof typeof SKIP_REASONS;
export type Skips = Record<SkipReason, number>;

export function noSkips(): Skips {
  // Object.keys widens the keys of a closed record to string.
  const reasons = Object.keys(SKIP_REASONS) as SkipReason[];
  return Object.fromEntries(reasons.map((reason) => [reason, 0])) as Skips;
}

/** Returns the reasons that occurred, with their counts. */
export function skipCounts(skips: Skips): [SkipReason, number][] {
  const counts = Object.entries(skips) as [SkipReason, number][];
  return counts.filter(([, count]) => count > 0);
}

/** Returns text such as `3 ties or without a verdict, 1 with equal answers`, or `none`. */
export function describeSkips(skips: Skips): string {
  const parts = skipCounts(skips).map(([reason, count]) => `${count} ${SKIP_REASONS[reason]}`);
  return parts.length === 0 ? 'none' : parts.join(', ');
}
