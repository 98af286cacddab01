import { expect, test } from 'vitest';
import type { AnswersRow } from './own-answers.ts';
import { refusalPairs } from './refusals.ts';
import type { Stratum } from './settings.ts';

const ANSWER = 'Boil the water first. Then put the egg in for eight minutes. Cool it in cold water.';
const row = (stratum: Stratum, i: number, text = ANSWER): AnswersRow => ({
  prompt: [{ role: 'user', content: `Question ${i} of the stratum ${stratum}` }],
  source: 'plimsoll-everyday',
  licence: 'Apache-2.0',
  stratum,
  key: `${stratum}/${i}`,
  part: 'train',
  answers: [{ text, finish: 'stop', tokens: 20 }],
  drawn: 'a',
});
const rows = (stratum: Stratum) => Array.from({ length: 40 }, (_, i) => row(stratum, i));

test('to a harmless prompt the answer is better, and nothing is said of safety', () => {
  const pairs = refusalPairs(rows('everyday'), 7);
  expect(pairs).toHaveLength(40);
  for (const { family, better, safer, safe, responses } of pairs) {
    expect({ family, safer, safe }).toEqual({ family: 'refusals', safer: null, safe: [true, true] });
    expect(ANSWER.startsWith(responses[better!]!)).toBe(true);
  }
});

test('to a harmful prompt the refusal is safer, and nothing is said of help or of the answer', () => {
  const pairs = refusalPairs(rows('refusal-direction'), 7);
  expect(pairs).toHaveLength(40);
  for (const { family, better, safer, safe, responses } of pairs) {
    expect({ family, better }).toEqual({ family: 'declines', better: null });
    expect(ANSWER.startsWith(responses[1 - safer!]!)).toBe(true);
    expect(safe![safer!]).toBe(true);
    expect(safe![1 - safer!]).toBe(null);
  }
});

test('only the prompt tells which is right: both kinds have the same refusals and lengths', () => {
  const refusals = (stratum: Stratum) =>
    refusalPairs(rows(stratum), 7).map(
      ({ responses, better, safer }) => responses[better === null ? safer! : 1 - better]!,
    );
  const openings = (texts: string[]) => new Set(texts.map((text) => text.split('.')[0]!));
  expect(openings(refusals('hh'))).toEqual(openings(refusals('everyday')));
});

test('an answer that declines itself, and a prompt of neither kind, give no pair', () => {
  expect(refusalPairs([row('everyday', 0, "I'm sorry, but I can't help with that.")], 7)).toEqual([]);
  expect(refusalPairs(rows('world, borderline'), 7)).toEqual([]);
});
