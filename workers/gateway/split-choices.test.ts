import { expect, test } from 'vitest';
import type { Frame } from '#shared/protocol/generate.ts';
import { splitChoices } from './split-choices.ts';

const text = (text: string, choice?: number): Frame => ({
  type: 'text',
  text,
  ...(choice !== undefined && { choice }),
});

/** Batches of frames, and whether anybody has left them. */
function source(batches: readonly Frame[][], { breaks = false } = {}) {
  const state = { left: false };
  async function* frames(): AsyncGenerator<Frame[], void, void> {
    try {
      yield* batches;
      if (breaks) throw new Error('it broke');
    } finally {
      state.left = true;
    }
  }
  return { state, frames: frames() };
}

async function said(frames: AsyncIterable<Frame[]>): Promise<string> {
  let all = '';
  for await (const batch of frames) {
    for (const frame of batch) {
      expect(frame).not.toHaveProperty('choice');
      if (frame.type === 'text') all += frame.text;
    }
  }
  return all;
}

test('each answer gets its own frames, in whatever order they are read', async () => {
  const { frames, state } = source([[text('a'), text('x', 1)], [text('y', 1)], [text('b'), text('c')]]);
  const [first, second] = splitChoices(frames, { count: 2 });
  expect(await said(second!)).toBe('xy');
  expect(await said(first!)).toBe('abc');
  expect(state.left).toBe(true);
});

test('a break reaches every answer, after what came before it', async () => {
  const { frames } = source([[text('a'), text('x', 1)]], { breaks: true });
  const [first, second] = splitChoices(frames, { count: 2 });
  const heard: string[] = [];
  for (const own of [first!, second!]) {
    await expect(
      (async () => {
        for await (const [frame] of own) if (frame?.type === 'text') heard.push(frame.text);
      })(),
    ).rejects.toThrow('it broke');
  }
  expect(heard).toEqual(['a', 'x']);
});

test('a frame of an answer that nobody asked for breaks them all', async () => {
  const { frames } = source([[text('z', 2)]]);
  const [first] = splitChoices(frames, { count: 2 });
  await expect(said(first!)).rejects.toThrow(/broke off/);
});

test('where not all are read, the source is left once those have ended that are', async () => {
  const { frames, state } = source([[text('a'), text('x', 1)], [text('y', 1)], [text('b')]]);
  const onLeft = () => expect(state.left).toBe(false);
  const [, second] = splitChoices(frames, { count: 3, readers: () => 1, onLeft });
  for await (const batch of second!) {
    expect(batch).toEqual([text('x')]);
    break;
  }
  expect(state.left).toBe(true);
});
