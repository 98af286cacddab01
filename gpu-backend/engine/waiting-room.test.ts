import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type RoomOptions, WaitingRoom } from './waiting-room.ts';

/** Whether each tenant's request got in, in order. */
function enterAll(room: WaitingRoom, tenants: readonly string[]): boolean[] {
  return tenants.map((tenant) => {
    try {
      room.enter(tenant);
      return true;
    } catch {
      return false;
    }
  });
}

const retryAfter = (room: WaitingRoom): number => {
  try {
    room.enter('late');
  } catch (thrown) {
    return (thrown as { retryAfterSeconds: number }).retryAfterSeconds;
  }
  throw new Error('there was room');
};

describe('a waiting room', () => {
  test('may be filled by a single tenant, up to its limit', () => {
    const room = new WaitingRoom(3);
    expect(enterAll(room, ['a', 'a', 'a', 'a'])).toEqual([true, true, true, false]);
    expect(room.size).toBe(3);
    room.leave('a', { placed: true });
    expect(enterAll(room, ['a', 'a'])).toEqual([true, false]);
  });

  test('filled by one tenant, still has shares for others but nothing more for that tenant', () => {
    const room = new WaitingRoom(8);
    enterAll(room, Array(20).fill('crowd'));
    expect(enterAll(room, Array(6).fill('b'))).toEqual([true, true, true, true, false, false]);
    expect(enterAll(room, Array(6).fill('c'))).toEqual([true, true, false, false, false, false]);
    expect(enterAll(room, ['crowd', 'crowd'])).toEqual([false, false]);
  });

  test('never holds more than twice its limit, and while full admits no tenant beyond its share', () => {
    const moves = fc.array(fc.record({ tenant: fc.constantFrom(...'abcdefghijkl'), leaves: fc.boolean() }));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), moves, (limit, all) => {
        const room = new WaitingRoom(limit);
        const held = new Map<string, number>();
        for (const { tenant, leaves } of all) {
          const own = held.get(tenant) ?? 0;
          const full = room.size >= limit;
          const sharers = new Set([...[...held].filter(([, n]) => n > 0).map(([name]) => name), tenant]).size;
          if (leaves && own > 0) {
            room.leave(tenant, { placed: true });
            held.set(tenant, own - 1);
          } else if (enterAll(room, [tenant])[0]) {
            held.set(tenant, own + 1);
            if (full) expect(own).toBeLessThan(Math.max(1, Math.floor(limit / sharers)));
          } else expect(full).toBe(true);
          expect(room.size).toBeLessThanOrEqual(2 * limit);
          expect(room.size).toBe([...held.values()].reduce((sum, n) => sum + n, 0));
        }
      }),
    );
  });
});

describe('the time to retry', () => {
  function busy({ perSecond, waiting, random = () => 0 }: { perSecond: number; waiting: number } & RoomOptions) {
    let seconds = 1000;
    const room = new WaitingRoom(waiting, { now: () => seconds, random });
    enterAll(room, Array(waiting).fill('late'));
    for (let i = 0; i < 200; i++) {
      seconds += 1 / perSecond;
      room.leave('late', { placed: true });
      room.enter('late');
    }
    return { room, pass: (s: number) => (seconds += s) };
  }

  test('is the queue’s own pace times the number ahead', () => {
    expect(retryAfter(busy({ perSecond: 2, waiting: 64 }).room)).toBe(31);
    expect(retryAfter(busy({ perSecond: 8, waiting: 64 }).room)).toBe(8);
  });

  test('varies between requests, from a second to a minute', () => {
    const many = (perSecond: number) => {
      let draw = 0;
      const random = () => (draw++ % 10) / 10;
      const { room } = busy({ perSecond, waiting: 64, random });
      return Array.from({ length: 10 }, () => retryAfter(room));
    };
    expect(new Set(many(4)).size).toBeGreaterThan(5);
    expect(new Set(many(0.1)).size).toBeGreaterThan(5);
    expect(Math.max(...many(0.1))).toBeLessThanOrEqual(60);
    expect(Math.min(...many(1e6))).toBe(1);
  });

  test('grows while nothing moves, and ignores the time when nobody waits', () => {
    const { room, pass } = busy({ perSecond: 8, waiting: 16 });
    const before = retryAfter(room);
    pass(60);
    expect(retryAfter(room)).toBeGreaterThan(2 * before);
    const { room: other, pass: passOther } = busy({ perSecond: 8, waiting: 16 });
    for (let i = 0; i < 16; i++) other.leave('late', { placed: false });
    passOther(3600);
    enterAll(other, Array(16).fill('late'));
    expect(retryAfter(other)).toBeLessThanOrEqual(before);
  });
});
