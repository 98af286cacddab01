import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { withHandLabels } from './agreement.ts';
import { drawPairs, PAIR_FILES, readPairs, signTest, writePairs } from './pairs.ts';
import type { SheetCell } from './write-sheet.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-pairs-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const questions = Array.from({ length: 20 }, (_, i) => ({
  ...{ id: `q${i}`, topic: `q${i}`, kind: null, category: null },
  messages: [{ role: 'user' as const, content: `What of ${i}?` }],
}));
const cell = (method: string, textOf: (i: number) => { text: string; tokens: number }): SheetCell => ({
  ...{ method: { id: method }, set: { id: 'ordinary', questions }, seed: 7, depth: 0, begun: questions.map(() => '') },
  answers: questions.map(({ id }, i) => ({ question: id, ...textOf(i) })),
});
/** The first question has the same answer, the second a policy's refusal, the third a blank one. */
const cells = [
  cell('open', (i) => (i === 0 ? { text: 'Same.', tokens: 2 } : { text: `Yes ${i}.`, tokens: 3 })),
  cell('base', (i) => {
    if (i === 0) return { text: 'Same.', tokens: 2 };
    if (i === 1) return { text: 'This is refused.', tokens: 0 };
    return i === 2 ? { text: ' ', tokens: 1 } : { text: `No ${i}.`, tokens: 3 };
  }),
];
const options = { methods: ['open', 'base'], set: 'ordinary', count: 50, seed: 1 } as const;

test('pairs are of questions that both answered in their own words, in an order that tells nothing', () => {
  const { sheet, key } = drawPairs(cells, options);
  expect(sheet).toHaveLength(17);
  expect(new Set(key.map(({ question }) => question)).size).toBe(17);
  expect(JSON.stringify(sheet)).not.toMatch(/open|base/);
  const firsts = key.map(({ a }) => a);
  expect(firsts).toContain('open');
  expect(firsts).toContain('base');
  for (const [i, { a, b, id }] of key.entries()) {
    expect(sheet[i]!.id).toBe(id);
    expect(sheet[i]!.a).toMatch(a === 'open' ? /^Yes/ : /^No/);
    expect(sheet[i]!.b).toMatch(b === 'open' ? /^Yes/ : /^No/);
  }
  expect(drawPairs(cells, options)).toEqual({ sheet, key });
  expect(drawPairs(cells, { ...options, count: 5 }).sheet).toHaveLength(5);
});

test('labels say how often each was better, and are never written over', () => {
  expect(readPairs(dir)).toBeNull();
  expect(writePairs(cells, { dir, ...options })).toBe(17);
  const key = readFileSync(path.join(dir, PAIR_FILES.key), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { id: string; a: string });
  // Of every pair "open" is the better one, but for the first, where neither is.
  const labels = key.map(({ id, a }, i) => ({ id, better: i === 0 ? 'same' : a === 'open' ? 'a' : 'b', note: '' }));
  const file = path.join(dir, PAIR_FILES.labels);
  writeFileSync(file, labels.map((label) => `${JSON.stringify(label)}\n`).join(''));
  expect(readPairs(dir)).toEqual({
    ...{ methods: ['base', 'open'], set: 'ordinary', first: 0, second: 16, same: 1 },
    p: 2 * 0.5 ** 16,
  });
  const [told] = withHandLabels([], { answered: [], judged: [], dir });
  expect(told!.what).toContain('by a large language model that did not know whose it was');
  expect(() => writePairs(cells, { dir, ...options })).toThrow(/pairs-labels\.jsonl: found labels/);
  writeFileSync(file, `${JSON.stringify({ id: '99', better: 'a', note: '' })}\n`);
  expect(() => readPairs(dir)).toThrow(/found a label for 99/);
});

test('the sign test counts every outcome that is as uneven', () => {
  /** All 2^n outcomes, one by one. */
  const slow = (first: number, second: number) => {
    const n = first + second;
    let uneven = 0;
    for (let bits = 0; bits < 2 ** n; bits++) {
      const ones = bits.toString(2).replaceAll('0', '').length;
      if (Math.abs(2 * ones - n) >= Math.abs(first - second)) uneven++;
    }
    return uneven / 2 ** n;
  };
  for (const [first, second] of [
    [0, 0],
    [0, 5],
    [3, 3],
    [7, 2],
    [4, 9],
  ] as const) {
    expect(signTest(first, second)).toBeCloseTo(slow(first, second), 12);
  }
});
