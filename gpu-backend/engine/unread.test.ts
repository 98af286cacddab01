import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Feed } from './answer-feeds.ts';
import { Unread } from './unread.ts';

const bounds = { floor: 0, ceiling: 1 };
const part = (reads: Feed['reads'], safety: readonly number[], helpfulness: readonly number[]): Feed => ({
  rows: { safety, helpfulness },
  reads,
  bounds,
});

const ids = fc.array(fc.nat(255), { minLength: 1, maxLength: 20 });
const parts = fc
  .tuple(ids, ids, fc.array(ids, { maxLength: 2 }))
  .map(([safety, helpfulness, drawn]) => [
    part('prompt', safety, helpfulness),
    ...drawn.map((same) => part('answer', same, same)),
  ]);

test('hands out every token once, in order, never more than asked for, and never prompt and answer together', () => {
  fc.assert(
    fc.property(parts, fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }), (all, widths) => {
      const unread = new Unread(all);
      const taken: Feed[] = [];
      for (let i = 0; unread.length > 0; i++) {
        const before = unread.length;
        const width = widths[i % widths.length]!;
        const feed = unread.take(width);
        const lengths = Object.values(feed.rows).map(({ length }) => length);
        expect(Math.max(...lengths)).toBeLessThanOrEqual(width);
        expect(before - unread.length).toBe(Math.max(...lengths));
        taken.push(feed);
      }
      for (const reads of ['prompt', 'answer'] as const) {
        for (const source of ['safety', 'helpfulness'] as const) {
          const read = (feeds: readonly Feed[]) =>
            feeds.filter((feed) => feed.reads === reads).flatMap(({ rows }) => rows[source] ?? []);
          expect(read(taken)).toEqual(read(all));
        }
      }
      // The last piece has a token for every row.
      for (const row of Object.values(taken.at(-1)!.rows)) expect(row.length).toBeGreaterThan(0);
    }),
  );
});

test('rows of different lengths end together', () => {
  const unread = new Unread([part('prompt', [1, 2, 3, 4, 5], [6, 7])]);
  expect([unread.take(2), unread.take(2), unread.take(2)].map(({ rows }) => rows)).toEqual([
    { safety: [1, 2], helpfulness: [] },
    { safety: [3, 4], helpfulness: [6] },
    { safety: [5], helpfulness: [7] },
  ]);
  expect(() => unread.take(1)).toThrow('every token has been read');
});

test('forgets a row, and what only that row had to read', () => {
  const unread = new Unread([part('prompt', [1, 2], [3, 4, 5, 6])]);
  unread.forget('helpfulness');
  expect(unread.length).toBe(2);
  expect(unread.take(9).rows).toEqual({ safety: [1, 2], helpfulness: [] });
});
