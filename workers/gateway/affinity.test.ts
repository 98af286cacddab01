import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Message } from '#shared/protocol/generate.ts';
import { createLoad, orderByAffinity } from './affinity.ts';

const nodes = Array.from({ length: 5 }, (_, i) => ({ url: `http://10.0.0.${i}:8788` }));
const IDLE = { of: () => 0 };
const order = (messages: readonly Message[], load: { of(url: string): number } = IDLE) =>
  orderByAffinity(nodes, { messages, load }).map(({ url }) => url);

const system = (content: string): Message => ({ role: 'system', content });
const user = (content: string): Message => ({ role: 'user', content });
const assistant = (content: string): Message => ({ role: 'assistant', content });

describe('goes to the same backend:', () => {
  test('a conversation as it goes on', () => {
    const turns = [user('Hi'), assistant('Hello'), user('And now?')];
    expect(order(turns)).toEqual(order(turns.slice(0, 1)));
    expect(order([system('Be brief.'), ...turns])).toEqual(order([system('Be brief.'), user('Hi')]));
  });

  test('every conversation under the same system prompt', () => {
    for (const question of ['Hi', 'What?', 'Why?']) {
      expect(order([system('Be brief.'), user(question)])).toEqual(order([system('Be brief.'), user('x')]));
    }
  });
});

test('other system prompts, and other questions without one, spread over all backends', () => {
  const first = (make: (i: number) => Message[]) =>
    new Set(Array.from({ length: 100 }, (_, i) => order(make(i))[0])).size;
  expect(first((i) => [system(`Prompt ${i}`), user('Hi')])).toBe(nodes.length);
  expect(first((i) => [user(`Question ${i}`)])).toBe(nodes.length);
});

test('however popular a system prompt, no backend gets much more than its share, and an idle one is found', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.array(fc.nat(), { maxLength: 40 }), (requests, endings) => {
      const load = createLoad();
      const messages = [system('Be brief.'), user('Hi')];
      const ends = Array.from({ length: requests }, () => load.begin(order(messages, load)[0]!));
      const counts = nodes.map(({ url }) => load.of(url));
      expect(counts.reduce((a, b) => a + b)).toBe(requests);
      expect(Math.max(...counts)).toBeLessThanOrEqual(Math.ceil((1.25 * requests) / nodes.length));
      for (const i of endings) ends[i % requests]!();
      const left = requests - new Set(endings.map((i) => i % requests)).size;
      expect(nodes.reduce((sum, { url }) => sum + load.of(url), 0)).toBe(left);
    }),
  );
});

test('one request at a time always has the same backend, and a full one is still there to be tried last', () => {
  const load = createLoad();
  const messages = [system('Be brief.'), user('Hi')];
  const [first, second] = order(messages, load);
  const end = load.begin(first!);
  load.begin(first!);
  expect(order(messages, load)[0]).toBe(second);
  expect(order(messages, load)).toContain(first);
  end();
  end();
  expect(load.of(first!)).toBe(1);
});
