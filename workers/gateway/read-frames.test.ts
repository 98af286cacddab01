import { inspect } from 'node:util';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Frame } from '#shared/protocol/generate.ts';
import { readFrames } from './read-frames.ts';

const frames: Frame[] = [
  { type: 'start', id: 'r', model: 'm', bundle: 'w', backend: 'b', draws: 'd', prompt_tokens: 1 },
  { type: 'text', text: 'a\nb ⚓ c' },
  { type: 'text', text: '' },
  { type: 'error', code: 'expert_failed', message: 'é' },
];
const ndjson = new TextEncoder().encode(frames.map((frame) => `${JSON.stringify(frame)}\n`).join(''));

function streamOf(pieces: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });
}

async function collect(pieces: readonly Uint8Array[]): Promise<Frame[][]> {
  const batches: Frame[][] = [];
  for await (const batch of readFrames(streamOf(pieces))) batches.push(batch);
  return batches;
}

test('reads the same frames wherever the network cuts', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat({ max: ndjson.length })), async (cuts) => {
      const edges = [0, ...cuts.sort((a, b) => a - b), ndjson.length];
      const pieces = edges.slice(1).map((end, index) => ndjson.subarray(edges[index], end));
      expect((await collect(pieces)).flat()).toEqual(frames);
    }),
  );
});

test('makes one batch of what arrives together', async () => {
  expect(await collect([ndjson])).toEqual([frames]);
});

test.each([
  ['text that is not JSON', 'hello\n'],
  ['JSON that is not a frame', '{"type":"tokens"}\n'],
  ['a line cut off', '{"type":"text","text":"a"}'],
  ['a line without end', 'x'.repeat(100_000)],
])('%s ends the answer with an error', async (_name, text) => {
  await expect(collect([new TextEncoder().encode(text)])).rejects.toMatchObject({ code: 'backend_unavailable' });
});

test('no word of a broken line is in the error or its causes, because they go to the log', async () => {
  const broken = collect([new TextEncoder().encode('a secret answer","weight":0.5}\n')]);
  const error = await broken.catch((thrown: unknown) => thrown);
  expect(inspect(error, { depth: 10 })).not.toMatch(/secret|answer"/);
  expect(error).toMatchObject({ cause: { message: expect.stringMatching(/^no JSON/) } });
});
