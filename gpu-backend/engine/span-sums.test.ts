import { expect, test } from 'vitest';
import type { Span } from '../model/looked-messages.ts';
import { SpanSums } from './span-sums.ts';

/** Feeds tokens whose states are their positions. */
function feed(sums: SpanSums, tokens: Span): void {
  for (const part of sums.partsIn(tokens)) {
    let sum = 0;
    for (let at = part.from; at < part.to; at++) sum += at;
    sums.add(part, Float32Array.of(sum));
  }
}

test('a span that is cut where two runs met is whole again once the rest is fed again', () => {
  const sums = new SpanSums([{ from: 2, to: 9 }]);
  feed(sums, { from: 0, to: 5 });
  feed(sums, { from: 5, to: 9 });
  sums.cut(5);
  expect(sums.sums()).toEqual([null]);
  feed(sums, { from: 5, to: 9 });
  expect(sums.sums()).toEqual([Float32Array.of(35)]);
});

test('a span that is cut within what one run fed stays unknown, whatever is fed later', () => {
  const sums = new SpanSums([
    { from: 0, to: 4 },
    { from: 2, to: 9 },
  ]);
  feed(sums, { from: 0, to: 9 });
  sums.cut(5);
  feed(sums, { from: 5, to: 9 });
  expect(sums.sums()).toEqual([Float32Array.of(6), null]);
});
