/** The bounded form of the fuzz. A failure prints its seed and its smallest case. */
import { expect, test } from 'vitest';
import { KIND_NAMES, KINDS } from './kinds.ts';

/** Over HTTP, a case takes some milliseconds. A hostile backend may keep the edge waiting. */
const casesOf = (name: string) => (name === 'hostile' ? 20 : 150);

test.each(KIND_NAMES)('%s at random break nothing', async (name) => {
  const kind = await KINDS[name].open();
  try {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const cases = casesOf(name);
    const { outcomes, ...result } = await kind.run({ cases, seed });
    expect(result).toEqual({ cases, failure: null });
    // A law about answers holds of nothing where there are none.
    if (name === 'rows')
      expect((outcomes.stop ?? 0) + (outcomes.length ?? 0), JSON.stringify(outcomes)).toBeGreaterThan(0);
  } finally {
    await kind.close();
  }
});
