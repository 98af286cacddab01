import { describe, expect, test } from 'vitest';
import { PrefillPace } from './prefill-pace.ts';

/** A machine on which a run costs something by itself and something for each token. */
const machine = (baseMs: number, msPerToken: number) => (tokens: number) => baseMs + msPerToken * tokens;

function settle(pace: PrefillPace, ms: (tokens: number) => number, decodeMs: number, rounds = 40): number {
  for (let round = 0; round < rounds; round++) {
    pace.decoded(decodeMs);
    pace.readBeside({ tokens: pace.tokens, ms: ms(pace.tokens) });
  }
  return pace.tokens;
}

describe('the size of a chunk', () => {
  test.each([
    [28, 1.3, 30],
    [28, 1.3, 100],
    [10, 0.01, 12],
    [0, 1, 50],
  ])('settles where a run of %d ms and %d ms a token takes 1.4 times a decode run of %d ms', (base, each, decode) => {
    const ms = machine(base, each);
    const tokens = settle(new PrefillPace(), ms, decode);
    expect(ms(0.95 * tokens - 1)).toBeLessThanOrEqual(1.4 * decode);
    expect(ms(1.05 * tokens + 1)).toBeGreaterThan(1.4 * decode);
  });

  test('is never above that on the way, if a prompt was read alone before', () => {
    const ms = machine(28, 1.3);
    const pace = new PrefillPace();
    pace.readAlone({ tokens: 512, ms: ms(512) });
    for (let round = 0; round < 40; round++) {
      pace.decoded(31);
      expect(ms(pace.tokens)).toBeLessThanOrEqual(1.4 * 31 + 2 * 1.3);
      pace.readBeside({ tokens: pace.tokens, ms: ms(pace.tokens) });
    }
  });

  test('falls at once when the crowd that made decode runs long has gone, and grows again when it is back', () => {
    const ms = machine(28, 1.3);
    const pace = new PrefillPace();
    const large = settle(pace, ms, 100);
    pace.decoded(30);
    expect(ms(pace.tokens)).toBeLessThanOrEqual(1.4 * 30);
    settle(pace, ms, 30);
    expect(settle(pace, ms, 100)).toBeCloseTo(large, -1);
  });

  test('does not fall because a prompt ended with a few tokens', () => {
    const ms = machine(28, 1.3);
    const pace = new PrefillPace();
    const settled = settle(pace, ms, 60);
    pace.readBeside({ tokens: 3, ms: ms(3) });
    expect(pace.tokens).toBe(settled);
  });

  test('grows token by token, even if rows make it a multiple of their number', () => {
    const ms = machine(28, 1);
    const pace = new PrefillPace();
    for (let round = 0; round < 200; round++) {
      pace.decoded(60);
      const tokens = 8 * Math.max(1, Math.floor(pace.tokens / 8));
      pace.readBeside({ tokens, ms: ms(tokens) });
    }
    // A chunk may take 84 ms, so 56 tokens.
    expect([48, 56]).toContain(8 * Math.floor(pace.tokens / 8));
  });

  test('is at least one token, on a machine that never meets the time', () => {
    expect(settle(new PrefillPace(), machine(1000, 1), 10)).toBe(1);
  });

  test('is never so small that a prompt takes more than twelve times as long as alone', () => {
    const ms = machine(100, 0.2);
    const pace = new PrefillPace();
    pace.readAlone({ tokens: 1000, ms: ms(1000) });
    const tokens = settle(pace, ms, 15);
    const alone = ms(1000) / 1000;
    expect((ms(tokens) + 15) / tokens).toBeLessThanOrEqual(12.5 * alone);
    expect((ms(tokens) + 15) / tokens).toBeGreaterThan(10 * alone);
  });

  test('doubles at most, on a clock that stands still', () => {
    const pace = new PrefillPace();
    pace.decoded(0);
    pace.readBeside({ tokens: 16, ms: 0 });
    expect(pace.tokens).toBe(32);
  });
});
