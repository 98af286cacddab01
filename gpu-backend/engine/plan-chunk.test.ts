import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FairWork } from './fair-work.ts';
import { LEAST_PER_ROW, planChunk, type Reading } from './plan-chunk.ts';

const reading = (tenant: string, unread: number, rows = 2): Reading => ({ tenant, unread, rows });

const plan = (readings: readonly Reading[], tokens: number, work: Record<string, number> = {}) => {
  const account = new FairWork();
  account.present(readings.map(({ tenant }) => tenant));
  for (const [tenant, done] of Object.entries(work)) account.add(tenant, done);
  const chunk = planChunk(readings, { tokens, work: account });
  return { ...chunk, which: chunk.readings.map((one) => readings.indexOf(one)) };
};

describe('a chunk', () => {
  test('is one long prompt, if that fills it', () => {
    expect(plan([reading('a', 2000), reading('a', 2000)], 512)).toMatchObject({ which: [0], width: 256 });
  });

  test('is many short prompts, if they fit', () => {
    const short = Array.from({ length: 20 }, () => reading('a', 20));
    expect(plan(short, 512).which).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  });

  test('begins with the tenant that had least work, and among equals with who joined first', () => {
    const all = [reading('a', 900), reading('b', 900), reading('c', 900)];
    expect(plan(all, 64).which).toEqual([0]);
    expect(plan(all, 64, { a: 10, b: 5, c: 5 }).which).toEqual([1]);
  });

  test('lets others read on if one needs little', () => {
    expect(plan([reading('a', 3), reading('b', 900)], 256)).toMatchObject({ which: [0, 1], width: 64 });
  });

  test('gives the first one its least, however small it is to be', () => {
    expect(plan([reading('a', 900), reading('b', 900)], 1)).toMatchObject({ which: [0], width: LEAST_PER_ROW });
  });
});

test('a chunk keeps to its tokens, padding included; whoever can be read in it is, and nobody is left out for ever', () => {
  const anyReading = fc.record({
    tenant: fc.constantFrom('a', 'b', 'c'),
    unread: fc.integer({ min: 1, max: 300 }),
    rows: fc.integer({ min: 1, max: 4 }),
  });
  fc.assert(
    fc.property(
      fc.array(anyReading, { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 600 }),
      (all, tokens) => {
        const { readings, width } = plan(all, tokens);
        const rows = readings.reduce((sum, one) => sum + one.rows, 0);
        expect(new Set(readings).size).toBe(readings.length);
        expect(rows * width).toBeLessThanOrEqual(Math.max(tokens, LEAST_PER_ROW * readings[0]!.rows));
        expect(width).toBeGreaterThanOrEqual(LEAST_PER_ROW);
      },
    ),
  );
});

test('of tenants with prompts left, none gets further ahead than one chunk, whatever they ask for', () => {
  const backlog = fc.array(
    fc.record({ unread: fc.integer({ min: 1, max: 400 }), rows: fc.integer({ min: 1, max: 2 }) }),
    { minLength: 1, maxLength: 8 },
  );
  const sizes = fc.array(fc.integer({ min: 1, max: 512 }), { minLength: 1, maxLength: 9 });
  fc.assert(
    fc.property(fc.array(backlog, { minLength: 2, maxLength: 4 }), sizes, (backlogs, sizes) => {
      const queues = backlogs.map((own, i) => own.map((one) => ({ ...one, tenant: `${i}` })));
      const work = new FairWork();
      for (let round = 0; ; round++) {
        work.present(queues.map((_, i) => `${i}`));
        const tokens = sizes[round % sizes.length]!;
        const { readings, width } = planChunk(queues.flat(), { tokens, work });
        for (const one of readings) {
          const read = Math.min(width, one.unread);
          work.add(one.tenant, read * one.rows);
          one.unread -= read;
        }
        for (const own of queues) own.splice(0, own.length, ...own.filter(({ unread }) => unread > 0));
        if (!queues.every((own) => own.length > 0)) break;
        const done = queues.map((_, i) => work.of(`${i}`));
        expect(Math.max(...done) - Math.min(...done)).toBeLessThanOrEqual(Math.max(...sizes, 2 * LEAST_PER_ROW));
      }
    }),
  );
});
