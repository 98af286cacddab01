import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createPacer } from './pace.ts';

function* slices(works: readonly number[], answer: string): Generator<number, string, void> {
  for (const work of works) yield work;
  return answer;
}

test('pauses once enough work has added up, across all texts of a request', async () => {
  let pauses = 0;
  const pacer = createPacer({ most: 10, pause: async () => void pauses++ });
  expect(await pacer.drive(slices([4, 4], 'a'))).toBe('a');
  expect(pauses).toBe(0);
  expect(await pacer.drive(slices([4, 9], 'b'))).toBe('b');
  expect(pauses).toBe(1);
});

test('does at most the allowed work plus one slice between two pauses', async () => {
  const works = fc.array(fc.nat(30), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(works, fc.integer({ min: 1, max: 50 }), async (list, most) => {
      let since = 0;
      let longest = 0;
      const counted = function* () {
        for (const work of list) {
          since += work;
          longest = Math.max(longest, since);
          yield work;
        }
      };
      const pause = async () => {
        since = 0;
      };
      await createPacer({ most, pause }).drive(counted());
      expect(longest).toBeLessThan(most + 31);
    }),
  );
});

test('lets other work have its turn during a pause', async () => {
  const order: string[] = [];
  const run = async (name: string) => {
    const marked = function* () {
      for (let i = 0; i < 3; i++) {
        order.push(name);
        yield 10;
      }
    };
    await createPacer({ most: 10 }).drive(marked());
  };
  await Promise.all([run('a'), run('b')]);
  expect(order.join('')).toMatch(/^ab/);
  expect(order.join('')).not.toMatch(/aaa|bbb/);
});
