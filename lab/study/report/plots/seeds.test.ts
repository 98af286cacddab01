/** A mean over training runs and one training run are told apart in the pictures. */
import { expect, test } from 'vitest';
import { createStudy } from '../../analysis/study.ts';
import { madeUpResults, manyMethods } from '../../testing/made-up-results.ts';
import { PLOTS } from './plots.ts';

test('the plane says so where what ships stands on it', () => {
  const made = madeUpResults({ methods: manyMethods(), questions: 12 });
  const from = { learnedFrom: '`train smollm2` at 0.125 of its size', shippedFrom: 'train smollm2 --scale 0.5' };
  const said = /learned from 4 times as much as any of these methods/;
  const plane = (shipped: string | null) => JSON.stringify(PLOTS.plane(createStudy({ ...made, ...from, shipped })));
  expect(plane('c'.repeat(64))).toMatch(said);
  expect(plane(null)).not.toMatch(said);
});

test('a method with one seed is a hollow point, and the bars say what they cover', () => {
  const study = createStudy(madeUpResults({ methods: manyMethods(), questions: 30 }));
  const spec = PLOTS.plane(study) as {
    title: { subtitle: string[] };
    layer: { mark: object; data: { values: { seeds: number }[] } }[];
  };
  const points = spec.layer.filter(({ mark }) => 'type' in mark && mark.type === 'point');
  expect(points.map(({ data }) => [...new Set(data.values.map(({ seeds }) => seeds > 1))])).toEqual([[true], [false]]);
  expect(points[1]!.mark).toMatchObject({ fill: 'white' });
  expect(spec.title.subtitle.join(' ')).toContain(
    'over questions, and over training runs where there are several. Hollow: one training run',
  );
  for (const name of ['floors', 'prefill', 'weights-by-category', 'weights-along'] as const) {
    expect(JSON.stringify(PLOTS[name](study))).toContain(
      'over questions, and over training runs where there are several',
    );
  }
});
