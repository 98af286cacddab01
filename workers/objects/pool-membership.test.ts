import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HEARTBEAT_TTL_SECONDS, MISSED_HEARTBEATS } from '#shared/protocol/heartbeat.ts';
import { hear, isListed, type LastWord, LISTED_MS, STALE_WORD_MS, stateOf } from './pool-membership.ts';

const INTERVAL_MS = 5_000;
const said = (status: 'ok' | 'loading' | 'draining' | 'gone') => ({ status, heartbeat_ms: INTERVAL_MS });

describe('what a backend is', () => {
  test('up for three heartbeats without a word, then out', () => {
    fc.assert(
      fc.property(fc.nat(20 * INTERVAL_MS), (ageMs) => {
        const isMissing = ageMs > MISSED_HEARTBEATS * INTERVAL_MS;
        expect(stateOf(said('ok'), ageMs)).toBe(isMissing ? 'out' : 'up');
        expect(stateOf(said('draining'), ageMs)).toBe(isMissing ? 'out' : 'draining');
        expect(stateOf(said('loading'), ageMs)).toBe(isMissing ? 'out' : 'loading');
        expect(stateOf(said('gone'), ageMs)).toBe('gone');
      }),
    );
  });
});

type Beat = { incarnation: number; counter: number; left: boolean; atMs: number };

/** The directory, slow and obvious: it remembers every heartbeat that it ever took. */
function slowHearing(taken: readonly Beat[], beat: Beat): 'taken' | 'refused' {
  const lastMs = taken.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY;
  if (beat.atMs - lastMs > STALE_WORD_MS) return 'taken';
  // What was forgotten in between does not count any more.
  const since = taken.findLastIndex((one, i) => i === 0 || one.atMs - taken[i - 1]!.atMs > STALE_WORD_MS);
  const known = taken.slice(Math.max(since, 0));
  const isOlder = known.some(
    ({ incarnation, counter, left }) =>
      incarnation > beat.incarnation || (incarnation === beat.incarnation && (left || counter >= beat.counter)),
  );
  return isOlder ? 'refused' : 'taken';
}

/** Heartbeats of up to four processes at one address, in the order in which they arrive. */
const arrivals = fc
  .array(
    fc.record({
      incarnation: fc.integer({ min: 1, max: 4 }),
      counter: fc.integer({ min: 1, max: 6 }),
      left: fc.boolean(),
      afterMs: fc.oneof(fc.nat(10_000), fc.nat(3 * STALE_WORD_MS)),
    }),
    { maxLength: 30 },
  )
  .map((beats) => {
    let atMs = 0;
    return beats.map(({ afterMs, ...beat }): Beat => {
      atMs += afterMs;
      return { ...beat, atMs };
    });
  });

describe('a heartbeat', () => {
  test('is taken only if nothing as new has been heard, whatever comes in whatever order', () => {
    fc.assert(
      fc.property(arrivals, (beats) => {
        const taken: Beat[] = [];
        let last: LastWord | undefined;
        for (const beat of beats) {
          const { incarnation, counter, left, atMs } = beat;
          const hearing = hear(last, { incarnation, counter }, atMs);
          expect(hearing === 'taken' ? 'taken' : 'refused').toBe(slowHearing(taken, beat));
          if (hearing !== 'taken') continue;
          taken.push(beat);
          last = { incarnation, counter, left, heardAtMs: atMs };
        }
      }),
    );
  });

  test('of a process that has been replaced never counts, however late it comes', () => {
    fc.assert(
      fc.property(
        fc.nat(1000),
        fc.integer({ min: 1, max: 1000 }),
        fc.nat(1e6),
        fc.nat(STALE_WORD_MS),
        (old, by, counter, later) => {
          const last = { incarnation: old + by, counter: 1, left: false, heardAtMs: 0 };
          expect(hear(last, { incarnation: old, counter }, later)).toBe('superseded');
          expect(hear({ ...last, left: true }, { incarnation: old, counter }, later)).toBe('superseded');
        },
      ),
    );
  });

  test('after a goodbye does not count, but one of a new process does', () => {
    const last = { incarnation: 7, counter: 3, left: true, heardAtMs: 0 };
    expect(hear(last, { incarnation: 7, counter: 4 }, 1)).toBe('left');
    expect(hear(last, { incarnation: 8, counter: 1 }, 1)).toBe('taken');
  });

  test('of the helpfulness pool never speaks for a backend outside it, and is spoken over', () => {
    const own = { incarnation: 7, counter: 3, left: false, heardAtMs: 0 };
    const member = { ...own, pool: 'helpfulness' as const };
    expect(hear(own, { incarnation: 9, counter: 9, pool: 'helpfulness' }, 1)).toBe('taken_by_others');
    expect(hear({ ...own, left: true }, { incarnation: 9, counter: 9, pool: 'helpfulness' }, 1)).toBe(
      'taken_by_others',
    );
    expect(hear(member, { incarnation: 1, counter: 1 }, 1)).toBe('taken');
    expect(hear(member, { incarnation: 7, counter: 4, pool: 'helpfulness' }, 1)).toBe('taken');
  });

  test('that was heard before counts as a copy', () => {
    const last = { incarnation: 7, counter: 3, left: false, heardAtMs: 0 };
    expect(hear(last, { incarnation: 7, counter: 3 }, 1)).toBe('replayed');
    expect(hear(last, { incarnation: 7, counter: 4 }, 1)).toBe('taken');
  });
});

test('what was heard counts for longer than any copy of a heartbeat is fresh', () => {
  // A heartbeat may be as early as it may be late.
  expect(STALE_WORD_MS).toBeGreaterThan(2 * HEARTBEAT_TTL_SECONDS * 1000);
});

test('a backend that vanished is listed for a day, one that said goodbye for ten minutes', () => {
  for (const left of [false, true]) {
    const longest = left ? LISTED_MS.left : LISTED_MS.vanished;
    expect(isListed({ heardAtMs: 0, left }, longest)).toBe(true);
    expect(isListed({ heardAtMs: 0, left }, longest + 1)).toBe(false);
  }
});
