/** Requests that come again under one `Idempotency-Key`. */
import { describe, expect, test } from 'vitest';
import { startLedger } from '../testing/start-ledger.ts';
import { KEEP_MS } from './ledger.ts';
import { FREE_REPEATS } from './repeats.ts';

describe('an Idempotency-Key', () => {
  const idempotency = { key: 'k', body: 'b' };

  test('is charged once, with the most that any of its requests has spent', () => {
    const { reserve, settle, window } = startLedger();
    reserve({}, { id: 'a', tokens: 100, idempotency });
    expect(reserve({}, { id: 'b', tokens: 100, idempotency })).toEqual({ outcome: 'key-in-use' });
    settle('a', 30);
    // A repeat needs only what the first did not pay.
    expect(reserve({ tokens_per_day: 100 }, { id: 'b', tokens: 100, idempotency }).outcome).toBe('granted');
    settle('b', 40);
    reserve({}, { id: 'c', tokens: 100, idempotency });
    settle('c', 35);
    expect(window('2026-11-29')).toEqual({ charged: 40, settled: 40 });
  });

  test('with another body is refused', () => {
    const { reserve, settle } = startLedger();
    reserve({}, { id: 'a', idempotency });
    settle('a', 1);
    expect(reserve({}, { id: 'b', idempotency: { key: 'k', body: 'other' } })).toEqual({ outcome: 'key-reused' });
  });

  test('is no ticket for any amount of work: after some repeats it is charged again', () => {
    const { reserve, settle, window } = startLedger();
    for (let i = 0; i <= FREE_REPEATS; i++) {
      reserve({}, { id: `a${i}`, tokens: 10, idempotency });
      settle(`a${i}`, 10);
      expect(window('2026-11').settled).toBe(10);
    }
    reserve({}, { id: 'z', tokens: 10, idempotency });
    settle('z', 10);
    expect(window('2026-11').settled).toBe(20);
  });

  test('is forgotten after a day', () => {
    const { reserve, settle, clock } = startLedger();
    reserve({}, { id: 'a', idempotency });
    settle('a', 1);
    clock.time += KEEP_MS;
    expect(reserve({}, { id: 'b', idempotency: { key: 'k', body: 'other' } }).outcome).toBe('granted');
  });
});
