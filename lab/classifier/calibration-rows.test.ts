import { expect, test } from 'vitest';
import { ANY_HARM, sigmoid } from '#shared/classify/combine-scores.ts';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { calibrate, calibrationRows } from './calibration-rows.ts';
import { BENIGN, type Example, targetsOf } from './example.ts';
import { CONTRAST_SOURCE, OWN_SOURCE } from './licences.ts';

const example = (fields: Partial<Example>): Example => ({
  text: '',
  source: CONTRAST_SOURCE,
  split: 'train',
  targets: BENIGN,
  someHarm: false,
  weight: 1,
  scary: false,
  ...fields,
});
const logOdds = (harm: number) => new Float64Array(JUDGEMENTS.length).fill(harm);

test("uses the shipped model's scores on calibration rows for our own prompts, and left-out scores for all other sources", () => {
  const leftOut = [CONTRAST_SOURCE, OWN_SOURCE].map((source) => ({
    example: example({ source }),
    fold: 0,
    logOdds: logOdds(1),
  }));
  const examples = (['train', 'calibration', 'heldout'] as const).map((split) =>
    example({ source: OWN_SOURCE, split, text: split }),
  );
  const score = () => ({ logOdds: logOdds(2), unread: false, uncertain: 0, work: 0 });
  const rows = calibrationRows(leftOut, { examples, score });
  expect(rows.map(({ example, logOdds }) => [example.source, example.split, logOdds[0]])).toEqual([
    [CONTRAST_SOURCE, 'train', 1],
    [OWN_SOURCE, 'calibration', 2],
  ]);
});

test('assumes that half of the prompts are unsafe, however many there are of each', () => {
  const rows = [
    ...Array.from({ length: 300 }, () => ({ example: example({}), logOdds: logOdds(0) })),
    ...Array.from({ length: 30 }, () => ({ example: example({ targets: targetsOf(['hate']) }), logOdds: logOdds(0) })),
  ];
  const { offset } = calibrate(rows)[ANY_HARM]!;
  expect(sigmoid(offset)).toBeCloseTo(0.5, 2);
});
