import { expect, test } from 'vitest';
import { type GatedRow, gateBounds } from './gate-bounds.ts';

const bounds = { floor: 0.25, ceiling: 0.75 };
const rows: [string, GatedRow | null, [safety: number[], helpfulness: number[]]][] = [
  [
    'the safety expert',
    { source: 'safety', bounds: undefined },
    [
      [1, 1],
      [0, 0],
    ],
  ],
  [
    'the helpfulness expert',
    { source: 'helpfulness', bounds: undefined },
    [
      [0, 0],
      [1, 1],
    ],
  ],
  [
    'a plain expert with bounds, which it ignores',
    { source: 'safety', bounds },
    [
      [1, 1],
      [0, 0],
    ],
  ],
  [
    'a layers row',
    { source: 'layers', bounds },
    [
      [0.25, 0.75],
      [0.25, 0.75],
    ],
  ],
  [
    'a layers row under a high floor',
    { source: 'layers', bounds: { floor: 0.875, ceiling: 1 } },
    [
      [0.875, 1],
      [0, 0.125],
    ],
  ],
  [
    'a layers row without bounds, which mixes nothing',
    { source: 'layers', bounds: undefined },
    [
      [0, 0],
      [0, 0],
    ],
  ],
  [
    'a hole',
    null,
    [
      [0, 0],
      [0, 0],
    ],
  ],
];

test.each(rows)('bounds the gates of %s', (_, row, [safety, helpfulness]) => {
  const { low, high } = gateBounds([row], ['safety', 'helpfulness']);
  expect([...low]).toEqual([safety[0], helpfulness[0]]);
  expect([...high]).toEqual([safety[1], helpfulness[1]]);
});

test('puts rows one after another, and experts in the graph’s order', () => {
  const all = rows.map(([, row]) => row);
  const { low, high } = gateBounds(all, ['helpfulness', 'safety']);
  expect([...low]).toEqual(rows.flatMap(([, , [safety, helpfulness]]) => [helpfulness[0], safety[0]]));
  expect([...high]).toEqual(rows.flatMap(([, , [safety, helpfulness]]) => [helpfulness[1], safety[1]]));
});
