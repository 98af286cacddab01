import { expect, test } from 'vitest';
import { type DraftOptions, DraftPlanner } from './draft-planner.ts';
import type { Drafted } from './drafter.ts';

const repeats = (rest: Partial<Drafted> = {}): Drafted => ({
  promptIds: [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2],
  ids: [],
  left: 100,
  sources: ['safety', 'helpfulness'],
  ...rest,
});
const fresh = (): Drafted => repeats({ promptIds: [1, 2, 3] });

const members = (...answers: Drafted[]) => answers.map((answer) => ({ answer, rows: answer.sources.length }));
const free: DraftOptions = { costRatio: () => 1 };

test('gives each answer its own draft, and none to an answer that repeats nothing', () => {
  const planner = new DraftPlanner(free);
  expect(planner.plan(members(repeats({ left: 4 }), fresh(), repeats()))).toEqual([
    [3, 4, 5],
    [],
    [3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5],
  ]);
});

test('cuts all drafts to one length, which pays for the whole run', () => {
  const planner = new DraftPlanner({ costRatio: (tokens, than) => (tokens <= 3 * than ? 1 : 9) });
  expect(planner.plan(members(repeats(), repeats({ left: 2 })))).toEqual([[3, 4], [3]]);
});

test('makes no drafts, and reads no prompt, where reading one token ahead takes as long as a step', () => {
  let read = 0;
  const planner = new DraftPlanner({
    costRatio: (tokens, than) => tokens / than,
    newGuesser: () => {
      read++;
      return { length: 0, push: () => {}, guess: () => ({ ids: [3], seen: 2 }) };
    },
  });
  expect(planner.plan(members(repeats()))).toEqual([[]]);
  expect(read).toBe(0);
});

test('measures what pays, and notices when it no longer does', () => {
  const planner = new DraftPlanner();
  const lengths = () => planner.plan(members(repeats())).map(({ length }) => length);
  for (let i = 0; i < 10; i++) planner.learnCost({ tokens: 2, ms: 30 });
  expect(lengths()[0]).toBeGreaterThan(0);
  // Every token takes as long as a step.
  for (let i = 0; i < 10; i++) planner.learnCost({ tokens: 8, ms: 120 });
  expect(lengths()).toEqual([0]);
  for (let i = 0; i < 60; i++) planner.learnCost({ tokens: 8, ms: 33 });
  expect(lengths()[0]).toBeGreaterThan(0);
});

test('follows each answer by itself', () => {
  const planner = new DraftPlanner(free);
  const [good, bad] = [repeats(), repeats()];
  planner.learn(good, { length: 3, accepted: 3 });
  planner.learn(bad, { length: 3, accepted: 0 });
  expect(planner.plan(members(good, bad)).map(({ length }) => length > 0)).toEqual([true, false]);
  expect([good, bad].map((answer) => planner.tried(answer))).toEqual([
    { accepted: 3, rejected: 0 },
    { accepted: 0, rejected: 3 },
  ]);
});

test.each([1, 3, 12, 40])(
  'a draft has at most as many tokens as the experts set, and never more than 12: %i',
  (most) => {
    const planner = new DraftPlanner({ ...free, mostAhead: most });
    expect(planner.plan(members(repeats()))[0]).toHaveLength(Math.min(most, 12));
  },
);
