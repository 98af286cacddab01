import { expect, test } from 'vitest';
import { alternate, medianRatio } from './measure.ts';

test('runs each variant once per round in changing orders, and keeps the values in round order', async () => {
  const ran: string[] = [];
  const variant = (name: string, base: number) => {
    let times = 0;
    return {
      name,
      run: async () => {
        ran.push(name);
        return base * times++;
      },
    };
  };
  const [a, b, c] = await alternate([variant('a', 1), variant('b', 2), variant('c', 3)], { rounds: 40 });
  // The first run of each variant is only a warm-up and does not count.
  expect(a.values).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
  expect([medianRatio(b, a), medianRatio(c, a), a.median]).toEqual([2, 3, 20.5]);
  const rounds = Array.from({ length: 41 }, (_, round) => ran.slice(3 * round, 3 * round + 3));
  for (const round of rounds) expect(round.toSorted()).toEqual(['a', 'b', 'c']);
  expect(new Set(rounds.map(String)).size).toBe(6);
});
