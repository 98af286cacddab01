import { expect, test } from 'vitest';
import { fillPage, pageParts } from './page.ts';
import type { Results } from './results.ts';
import { result } from './row.ts';

const RESULTS: Results = {
  machine: { cpu: 'a processor', cores: 2, memoryGiB: 8, node: 'v26' },
  models: {
    small: {
      decode: {
        at: '2026-01-02T03:04:05.000Z',
        rounds: 3,
        seconds: 10,
        result: result({
          figures: [
            { name: 'speed', against: 'a peer', ratio: 0.974, expected: '0.9', reach: 0.95, better: 'higher' },
            { name: 'cost', against: 'one', ratio: 1.5, expected: '1.2', reach: 1.1, better: 'lower' },
            { name: 'share', against: 'a step', ratio: 0.2, expected: '0.1', reach: null, better: 'lower' },
          ],
          tables: [{ title: 'a step', unit: 'ms', measured: [{ name: 'ours', values: [1, 3, 2], median: 2 }] }],
          notes: ['it was measured'],
        }),
      },
    },
  },
};

test('a figure says what was expected, what was to be reached, and whether it was', () => {
  const { figures } = pageParts(RESULTS);
  expect(figures).toContain('| speed | a peer | 0.9 | ≥ 0.95 | **0.97** | reached |');
  expect(figures).toContain('| cost | one | 1.2 | ≤ 1.1 | **1.50** | missed |');
  expect(figures).toContain('| share | a step | 0.1 |  | **0.20** |  |');
});

test('medians come with their raw values', () => {
  expect(pageParts(RESULTS).medians).toContain('| a step: ours | 2.00 ms | 1.00, 3.00, 2.00 |');
});

test('fills the parts of a page, again and again, and leaves the rest', () => {
  const page = 'before\n<!-- notes -->\nold\n<!-- /notes -->\nafter\n';
  const { notes } = pageParts(RESULTS);
  const filled = fillPage(page, { notes: notes! });
  expect(filled).toBe('before\n<!-- notes -->\n- small: it was measured.\n<!-- /notes -->\nafter\n');
  expect(fillPage(filled, { notes: notes! })).toBe(filled);
  expect(() => fillPage(page, { figures: '' })).toThrow('<!-- figures -->');
});
