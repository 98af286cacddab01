import { expect, test } from 'vitest';
import { ANY_HARM } from '#shared/classify/combine-scores.ts';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import type { LeftOut } from './cross-fit.ts';
import { BENIGN, targetsOf } from './example.ts';
import { leftOutFigures } from './left-out-figures.ts';

const logOdds = (harm: number) => {
  const scores = new Float64Array(JUDGEMENTS.length);
  scores[ANY_HARM] = harm;
  return scores;
};
const row = (source: string, harmful: boolean, harm: number, fold = 0): LeftOut => ({
  example: {
    text: '',
    source,
    split: 'train',
    targets: harmful ? targetsOf(['hate']) : BENIGN,
    someHarm: false,
    weight: 1,
    scary: false,
  },
  fold,
  logOdds: logOdds(harm),
});

const identity = JUDGEMENTS.map(() => ({ slope: 1, offset: 0 }));

test("compares each source with harmless prompts that its own fold's model scored", () => {
  const leftOut = [row('b', true, 3), row('b', true, -1), row('a', false, -2, 1)];
  const yardstick = [[logOdds(0), logOdds(-3)], [logOdds(9)]];
  const figures = leftOutFigures({ leftOut, yardstick }, identity);
  expect(figures.map(({ source }) => source)).toEqual(['a', 'b']);
  expect(figures[0]).toMatchObject({ harmful: 0, harmless: 1, auc: undefined, harmlessRising: 0 });
  expect(figures[1]).toMatchObject({ harmful: 2, harmless: 0, auc: 0.75, harmfulRising: 0.5 });
  expect(figures[1]!.harmlessRising).toBeUndefined();
});

test('judges a source that has only jailbreaks by the jailbreak score', () => {
  const jailbreak = row('c', false, -9);
  jailbreak.example.targets = targetsOf(['jailbreak']);
  jailbreak.logOdds[JUDGEMENTS.indexOf('jailbreak')] = 2;
  const [figures] = leftOutFigures({ leftOut: [jailbreak], yardstick: [[logOdds(5)]] }, identity);
  expect(figures).toMatchObject({ by: 'jailbreak', harmful: 1, harmless: 0, auc: 1, harmfulRising: 1 });
});
