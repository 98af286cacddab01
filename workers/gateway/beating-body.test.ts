import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { beatingBody } from './beating-body.ts';

const NEVER = { text: '', everyMs: 1e9 };
const texts = (count: number) => Array.from({ length: count }, (_, i) => `${i} `);

test('a reader gets all texts in order, however it reads', async () => {
  for (const pauses of [false, true]) {
    async function* source() {
      for (const text of texts(50)) {
        if (pauses) await turn();
        yield text;
      }
    }
    const body = beatingBody(source(), { beat: NEVER, onCancel: () => {} });
    expect(await new Response(body).text()).toBe(texts(50).join(''));
  }
});

test('nothing is drawn ahead of a reader that lags, but one text', async () => {
  let drawn = 0;
  async function* source() {
    for (const text of texts(50)) {
      drawn++;
      yield text;
    }
  }
  const reader = beatingBody(source(), { beat: NEVER, onCancel: () => {} }).getReader();
  for (let read = 0; read < 5; read++) {
    for (let i = 0; i < 5; i++) await turn();
    expect(drawn).toBeLessThanOrEqual(read + 1);
    await reader.read();
  }
  await reader.cancel();
});

test('a reader that leaves is told of, and nothing is drawn for it any more', async () => {
  let drawn = 0;
  let left = 0;
  async function* source() {
    for (const text of texts(50)) {
      drawn++;
      yield text;
    }
  }
  const reader = beatingBody(source(), { beat: NEVER, onCancel: () => left++ }).getReader();
  await reader.read();
  await reader.cancel();
  for (let i = 0; i < 5; i++) await turn();
  expect(left).toBe(1);
  expect(drawn).toBeLessThanOrEqual(2);
});

test('a source that throws breaks the body', async () => {
  // biome-ignore lint/correctness/useYield: it throws before it would yield.
  async function* source(): AsyncGenerator<string, void, void> {
    throw new Error('no more');
  }
  const body = beatingBody(source(), { beat: NEVER, onCancel: () => {} });
  await expect(new Response(body).text()).rejects.toThrow('no more');
});
