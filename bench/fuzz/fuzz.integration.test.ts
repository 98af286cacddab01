/** The bounded form of the fuzz. A failure prints its seed and its smallest case. */
import { expect, test } from 'vitest';
import { KIND_NAMES, KINDS } from './kinds.ts';

/** Over HTTP, a case takes some milliseconds. */
const CASES = 400;

test.each(KIND_NAMES)('%s at random break nothing', async (name) => {
  const kind = await KINDS[name]();
  try {
    const seed = Math.floor(Math.random() * 2 ** 31);
    expect(await kind.run({ cases: CASES, seed })).toMatchObject({ cases: CASES, failure: null });
  } finally {
    await kind.close();
  }
});
