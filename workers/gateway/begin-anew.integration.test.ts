/** Several answers of a request whose backend is lost before their first token. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Behaviour } from '../testing/behaviours.ts';
import { ask, type EdgeUnderTest, post, startEdgeUnderTest } from '../testing/edge-under-test.ts';

const CHOICES = 8;

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest();
});
afterAll(() => under.dispose());
beforeEach(() => {
  under.backends[0]!.seen.length = 0;
});

/** What becomes of the request. `calls` is how often its one backend is asked. */
async function answered(prompt: string) {
  const answer = await post(under.edge, '/v1/chat/completions', { ...ask(prompt), n: CHOICES, seed: 7 });
  const { choices = [] } = (await answer.json()) as { choices?: { message: { content: string } }[] };
  return { status: answer.status, texts: choices.map(({ message }) => message.content), calls: backend().seen.length };
}
const backend = () => under.backends[0]!;

/** Behaves in one way until it has been asked so many times, and then answers. */
async function until(calls: number, behaviour: Behaviour): Promise<void> {
  backend().behaviour = behaviour;
  while (backend().seen.length < calls) await new Promise((resolve) => setTimeout(resolve, 1));
  backend().behaviour = 'answer';
}

test('all of them begin anew together, with one call', async () => {
  const recovers = until(1, 'die-after-start');
  const { status, texts, calls } = await answered('Broken once');
  await recovers;
  expect([status, texts.length, calls]).toEqual([200, CHOICES, 2]);
  for (const text of texts) expect(text).toContain('The answer to seed 7');
});

test('where the backend stays broken, the calls are as many as for one answer', async () => {
  backend().behaviour = 'die-after-start';
  const { texts, calls } = await answered('Broken for good');
  backend().behaviour = 'answer';
  expect(texts).toEqual([]);
  // The first, and so many fruitless ones as an answer may have.
  expect(calls).toBe(5);
});
