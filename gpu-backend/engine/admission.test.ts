/** Requests that wait for memory, and those that would wait for ever. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkRequest, termsOf } from './check-request.ts';
import { DraftPlanner } from './draft-planner.ts';
import { DEFAULT_LIMITS, type EngineRequest } from './engine.ts';
import { kvMemory, mostTokens } from './kv-memory.ts';
import type { SchedulerOptions } from './scheduler.ts';
import { ScriptedExperts } from './scripted-experts.ts';
import { request } from './testing/engine-contract.ts';
import { schedule } from './testing/schedule.ts';
import { babble, SCRIPTED_VOCAB } from './testing/scripted-engine.ts';

const options = {
  vocabulary: { eos: [0], banned: [], bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(id)) },
  proposal: 0.5,
  contextLength: 200,
};

/** Ten bytes a token. */
const experts = () => new ScriptedExperts(babble, { vocabSize: SCRIPTED_VOCAB, bytesPerToken: 10 });

function serve(kvBytes: number | null, more: Pick<SchedulerOptions, 'drafts'> = {}) {
  const driver = experts();
  const scheduled = schedule(driver, { ...options, ...more, limits: { kvBytes, maxRows: 8 } });
  const started = (id: number) => scheduled.of(id).events.some(({ type }) => type === 'start');
  return { ...scheduled, experts: driver, started };
}

const of = (tokens: number, changes: Partial<EngineRequest> = {}) =>
  request({ promptIds: Array(10).fill(70), maxTokens: tokens - 10, ...changes });

describe('a request joins', () => {
  test('if all that is in the batch and itself would fit at their longest, and else waits', async () => {
    // Two rows of 50 tokens are 1,000 bytes.
    const { scheduler, started } = serve(2500);
    for (const id of [1, 2, 3]) scheduler.submit(id, of(50));
    await scheduler.round();
    expect([1, 2, 3].map(started)).toEqual([true, true, false]);
    expect(scheduler.stats).toMatchObject({ running: 2, waiting: 1, rows: 4 });
    scheduler.cancel(1);
    await scheduler.round();
    expect(started(3)).toBe(true);
  });

  test('once memory is there for it, and a request counts once as having waited for that', async () => {
    const { scheduler, started } = serve(2500);
    scheduler.submit(1, of(50));
    scheduler.submit(2, of(50));
    await scheduler.round();
    expect(scheduler.stats.memoryWaits).toBe(0);
    // Three answers, none of which fits beside the others.
    const { key } = of(50).sampling;
    scheduler.submit(3, of(50, { moreKeys: [key, key] }));
    scheduler.submit(4, of(50));
    for (let round = 0; round < 3; round++) await scheduler.round();
    expect(started(3)).toBe(false);
    expect(scheduler.stats.memoryWaits).toBe(1);
    for (const id of [1, 2, 3]) scheduler.cancel(id);
    await scheduler.round();
    expect(started(4)).toBe(true);
    expect(scheduler.stats.memoryWaits).toBe(1);
  });

  test('without any bound on memory, if there are rows, and waiting for a row is no wait for memory', async () => {
    const { scheduler, started } = serve(null);
    for (const id of [1, 2, 3, 4, 5]) scheduler.submit(id, of(200));
    await scheduler.round();
    expect([1, 2, 3, 4, 5].map(started)).toEqual([true, true, true, true, false]);
    expect(scheduler.stats.memoryWaits).toBe(0);
  });

  test('by what it may take: one row less, or a shorter prompt of an expert’s own, takes less', async () => {
    const { scheduler, started } = serve(1500);
    scheduler.submit(1, of(50));
    scheduler.submit(2, of(50, { line: { ...of(50).line, action: 'safety_only' } }));
    await scheduler.round();
    expect(started(2)).toBe(true);
  });

  test('before those behind it, so a large one does not starve', async () => {
    const { scheduler, started, of: outcome } = serve(4000);
    let id = 0;
    for (; id < 4; id++) scheduler.submit(id, of(40, { tenant: 'small' }));
    scheduler.submit(1000, of(200, { tenant: 'large' }));
    let rounds = 0;
    while (!started(1000)) {
      scheduler.submit(id++, of(40, { tenant: 'small' }));
      await scheduler.round();
      expect(++rounds).toBeLessThan(300);
    }
    expect(outcome(1000).error).toBeNull();
  });
});

test('the memory of open sequences never goes beyond the bound, whatever comes and goes', async () => {
  const anyRequest = fc.record({
    prompt: fc.integer({ min: 1, max: 60 }),
    own: fc.integer({ min: 1, max: 60 }),
    maxTokens: fc.oneof(fc.integer({ min: 1, max: 80 }), fc.constant(null)),
    tenant: fc.constantFrom('a', 'b'),
    floor: fc.constantFrom(0, 0.5, 1),
    rounds: fc.integer({ min: 0, max: 6 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyRequest, { maxLength: 12 }),
      fc.integer({ min: 300, max: 5000 }),
      async (all, kvBytes) => {
        // What is read ahead takes memory, too.
        const drafts = new DraftPlanner({ costRatio: () => 1 });
        const { scheduler, experts: driver, of: outcome } = serve(kvBytes, { drafts });
        const lengths = new Map<number, number>();
        const { append, cut, close } = driver;
        driver.append = (steps) => {
          for (const { sequence, ids } of steps) lengths.set(sequence, (lengths.get(sequence) ?? 0) + ids.length);
          expect(driver.cacheBytes([...lengths.values()])).toBeLessThanOrEqual(kvBytes);
          return append.call(driver, steps);
        };
        driver.cut = (sequence, length) => {
          lengths.set(sequence, length);
          cut.call(driver, sequence, length);
        };
        driver.close = (sequence) => {
          lengths.delete(sequence);
          close.call(driver, sequence);
        };
        for (const [id, { prompt, own, maxTokens, tenant, floor, rounds }] of all.entries()) {
          const rowPrompts = { safety: Array(own).fill(71) };
          const promptIds = Array(prompt).fill(70);
          scheduler.submit(id, request({ promptIds, rowPrompts, maxTokens, tenant, line: { floor } }));
          for (let round = 0; round < rounds; round++) await scheduler.round();
        }
        while (await scheduler.round());
        // Each came to its end, or was refused before any work.
        for (const id of all.keys()) {
          const { events, error } = outcome(id);
          if (error) expect([error.code, events]).toEqual(['context_length_exceeded', []]);
          else expect(events.at(-1)).toMatchObject({ type: 'end' });
        }
      },
    ),
    { numRuns: 60 },
  );
});

describe('what can never fit', () => {
  const terms = (kvBytes: number | null) => termsOf(experts(), { ...options, limits: { ...DEFAULT_LIMITS, kvBytes } });

  test('is refused before any work, on both sides, with the numbers', async () => {
    const error = {
      code: 'context_length_exceeded',
      param: 'max_tokens',
      message:
        'A prompt of 10 tokens and an answer of up to 141 tokens take about 3020 bytes of memory in 2 rows. ' +
        'This backend has 3000 bytes, enough for 150 tokens in each row. Send a shorter prompt or a smaller max_tokens.',
    };
    expect(() => checkRequest(of(151), terms(3000))).toThrow(expect.objectContaining(error));
    expect(() => checkRequest(of(150), terms(3000))).not.toThrow();
    expect(() => checkRequest(of(151), terms(null))).not.toThrow();
    const { scheduler, of: outcome } = serve(3000);
    scheduler.submit(1, of(151));
    expect(outcome(1)).toMatchObject({ events: [], error });
    expect(scheduler.stats).toMatchObject({ running: 0, waiting: 0, rows: 0 });
  });

  test('counts only the rows that run', () => {
    const alone = { line: { ...of(9).line, floor: 1 } };
    expect(() => checkRequest(of(200, alone), terms(2000))).not.toThrow();
    expect(() => checkRequest(of(101), terms(2000))).toThrow(/in 2 rows/);
    expect(() => checkRequest(of(200, alone), terms(1999))).toThrow(/in one row/);
  });

  test('is a prompt that leaves no room for an answer, with or without a limit', () => {
    const promptIds = Array(60).fill(70);
    for (const maxTokens of [1, null]) {
      const error = { code: 'context_length_exceeded', param: 'messages' };
      expect(() => checkRequest(request({ promptIds, maxTokens }), terms(1200))).toThrow(
        expect.objectContaining(error),
      );
    }
  });
});

describe('an answer without a limit of its own', () => {
  const size = (longest: number, kvBytes: number | null, contextLength = 4096) => {
    const memory = kvMemory(experts(), { kvBytes, maxRows: 32, contextLength });
    return mostTokens(null, { longest, rows: 2, contextLength, memory });
  };

  test('gets what its context has left, where a full batch of full contexts fits', () => {
    expect(size(96, null)).toBe(4000);
    expect(size(96, 32 * 4096 * 10)).toBe(4000);
  });

  test('gets its share of a full batch, so that many of them fit beside each other', () => {
    expect(size(96, 32 * 1000 * 10)).toBe(904);
  });

  test('gets something worth reading after a prompt that leaves less of its share, if that fits', () => {
    expect(size(900, 32 * 1000 * 10)).toBe(512);
    expect(size(3000, 32 * 1000 * 10)).toBe(512);
    expect(size(4000, 32 * 1000 * 10)).toBe(96);
    expect(size(900, 2 * 1000 * 10)).toBe(100);
  });

  test('is as long as it would be alone, whoever is in the batch', async () => {
    const asked = of(0, { maxTokens: null });
    const ends = async (others: number) => {
      const { scheduler, of: outcome, run } = serve(4000);
      for (let id = 1; id <= others; id++) scheduler.submit(id, of(60));
      scheduler.submit(0, asked);
      await run();
      return outcome(0).events;
    };
    expect(await ends(5)).toEqual(await ends(0));
  });
});

test('the longest rows that fit are found for any number of rows', () => {
  const { longest } = kvMemory(experts(), { kvBytes: 6000, maxRows: 4, contextLength: 250 })!;
  expect(longest).toEqual([250, 250, 200, 150]);
  expect(kvMemory(experts(), { kvBytes: 5, maxRows: 1, contextLength: 250 })!.longest).toEqual([0]);
});
