import { expect, test } from 'vitest';
import { pairAccuracy } from './pair-accuracy.ts';

test('counts what each expert finds likelier, in all, a token and against the other expert', () => {
  const side = (safety: number, helpfulness: number, tokens: number) => ({ safety, helpfulness, tokens });
  const pairs = [
    // The chosen answer is long: less likely as a whole, likelier a token.
    { chosen: side(-10, -12, 10), rejected: side(-4, -4, 2) },
    { chosen: side(-2, -6, 4), rejected: side(-2, -4, 4) },
  ];
  expect(pairAccuracy(pairs)).toEqual({
    pairs: 2,
    safety: 0.25,
    helpfulness: 0,
    safetyPerToken: 0.75,
    helpfulnessPerToken: 0.5,
    safetyOverHelpfulness: 1,
    longer: 0.75,
  });
});
