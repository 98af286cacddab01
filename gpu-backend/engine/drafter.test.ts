import { expect, test } from 'vitest';
import { type Drafted, Drafter, lookUpPrompt } from './drafter.ts';
import type { Guesser } from './guesser.ts';

const answerTo = (promptIds: number[], ids: number[] = [], rest: Partial<Drafted> = {}): Drafted => ({
  promptIds,
  ids,
  left: 100,
  sources: ['safety', 'helpfulness'],
  ...rest,
});

/** Guesses the same token again and again. */
const stubborn = (): Guesser => ({
  length: 0,
  push: () => {},
  guess: (count) => ({ ids: Array<number>(count).fill(7), seen: 2 }),
});

test('guesses from the prompt and from the answer, as it grows', () => {
  const ids: number[] = [];
  const drafter = new Drafter(answerTo([1, 2, 3, 4, 5, 9, 1, 2], ids), lookUpPrompt);
  expect(drafter.propose(3)).toEqual([3, 4, 5]);
  ids.push(3, 8, 1, 2);
  expect(drafter.propose(2)).toEqual([3, 8]);
  ids.push(3, 8);
  expect(drafter.propose(2)).toEqual([1, 2]);
});

test('leaves room for the token that is drawn after the draft', () => {
  const prompt = [1, 2, 3, 4, 5, 1, 2];
  expect(new Drafter(answerTo(prompt, [], { left: 3 }), lookUpPrompt).propose(9)).toEqual([3, 4]);
  expect(new Drafter(answerTo(prompt, [], { left: 1 }), lookUpPrompt).propose(9)).toEqual([]);
});

test('makes no drafts in the mode layers, where a token is read under the bounds of the one after it', () => {
  const answer = answerTo([1, 2, 3, 1, 2], [], { sources: ['safety', 'layers'] });
  expect(new Drafter(answer, lookUpPrompt).propose(3)).toEqual([]);
});

test('does not read the prompt before it is asked', () => {
  let read = 0;
  const drafter = new Drafter(answerTo([1]), () => {
    read++;
    return stubborn();
  });
  expect(read).toBe(0);
  drafter.propose(2);
  drafter.propose(2);
  expect(read).toBe(1);
});

test('pauses after a draft of which nothing was accepted, longer each time, and starts over after a good one', () => {
  const drafter = new Drafter(answerTo([1]), stubborn);
  /** Steps until the next draft. */
  const pause = () => {
    let steps = 0;
    while (drafter.propose(1).length === 0) steps++;
    return steps;
  };
  const learn = (accepted: number) => drafter.learn({ length: 3, accepted });
  expect(pause()).toBe(0);
  const pauses = Array.from({ length: 8 }, () => {
    learn(0);
    return pause();
  });
  expect(pauses).toEqual([1, 3, 7, 15, 31, 63, 63, 63]);
  learn(1);
  expect(pause()).toBe(0);
  learn(0);
  expect(pause()).toBe(1);
});

test('learns the chance of a guess from recent drafts, and only from guesses that could be right', () => {
  const drafter = new Drafter(answerTo([1]), stubborn);
  expect(drafter.chance).toBe(0.3);
  // Of the five guesses behind the wrong one, nothing is known.
  drafter.learn({ length: 6, accepted: 0 });
  expect(drafter.chance).toBeCloseTo((0.8 * 0.6) / (0.8 * 2 + 1), 12);
  for (let i = 0; i < 30; i++) drafter.learn({ length: 6, accepted: 6 });
  expect(drafter.chance).toBeGreaterThan(0.99);
  for (let i = 0; i < 10; i++) drafter.learn({ length: 6, accepted: 1 });
  expect(drafter.chance).toBeGreaterThan(0.45);
  expect(drafter.chance).toBeLessThan(0.75);
});

test('expects more of a guess after more tokens that have come before, and learns about each kind by itself', () => {
  const ids: number[] = [];
  const drafter = new Drafter(answerTo([1, 2, 3, 4, 5, 9, 1, 2], ids), lookUpPrompt);
  drafter.propose(3);
  expect(drafter.chance).toBe(0.3);
  drafter.learn({ length: 1, accepted: 1 });
  const short = drafter.chance;
  ids.push(3);
  drafter.propose(3);
  expect(drafter.chance).toBe(0.6);
  drafter.learn({ length: 1, accepted: 1 });
  ids.push(4, 8, 9, 1);
  drafter.propose(3);
  expect(drafter.chance).toBe(short);
});

test('counts the tokens that it was right and wrong about', () => {
  const drafter = new Drafter(answerTo([1]), stubborn);
  expect(drafter.tried).toEqual({ accepted: 0, rejected: 0 });
  drafter.learn({ length: 4, accepted: 4 });
  drafter.learn({ length: 5, accepted: 2 });
  expect(drafter.tried).toEqual({ accepted: 6, rejected: 3 });
});
