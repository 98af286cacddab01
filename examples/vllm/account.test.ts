/** How far the engine's numbers may be from the account of an answer when it is asked again. */
import { expect, test } from 'vitest';
import { checkAnswer } from './laws.mjs';

const Z = Math.log(2);

/** An answer whose tokens cost nothing, and an engine that then says something else. */
async function problems(moved: readonly number[]): Promise<string[]> {
  const told = { weight: 1, floor: 0.3, lp: -Z, lp_s: -Z, spent: 0 };
  const answer = {
    choices: [{ message: { content: '' }, finish_reason: 'stop' }],
    plimsoll: { receipt: 'none', tokens: moved.map(() => ({ id: 0, ...told })) },
  };
  // Both of two tokens are moved, and their sum with them, so the first one takes it all.
  const askSafety = async (ids: readonly number[]) => {
    const first = -Z + (moved[ids.length] ?? 0);
    return new Map([
      [0, first],
      [1, Math.log(1 - Math.exp(first))],
    ]);
  };
  const { problems: found } = await checkAnswer(answer, {
    request: {},
    jwks: { keys: [] },
    floor: 0.3,
    budget: 1,
    topK: 2,
    askSafety,
  });
  return found.filter((problem: string) => problem.startsWith('asked again'));
}

test('one token may be off by two steps of bf16, and many by no more than a tenth of a nat each', async () => {
  expect(await problems([0.2])).toEqual([]);
  expect(await problems([0.3])).toEqual([expect.stringMatching(/^asked again, the account differs by 0\.3/)]);
  expect(await problems(Array(20).fill(0.09))).toEqual([]);
  expect(await problems(Array(20).fill(0.15))).toHaveLength(1);
});
