import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { openGguf } from '#gpu-backend/gguf/open-gguf.ts';
import { ggufBytes, texts } from '#gpu-backend/gguf/testing/make-gguf.ts';
import { writeRandomGguf } from './random-gguf.ts';

const dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-random-gguf-'));
afterAll(() => rm(dir, { recursive: true, force: true }));

const SHAPE = { d: 64, layers: 2, heads: 4, keyHeads: 2, ffn: 96, vocab: 40 };

async function written() {
  const [tokenizerOf, to] = [path.join(dir, 'tokenizer.gguf'), path.join(dir, 'random.gguf')];
  const tokens = texts(['a', 'b', 'ab']);
  const types = { type: 9, bytes: Buffer.concat([u32(5), u64(3), ...[1, 1, 1].map(u32)]) };
  const metadata = [
    ['general.architecture', 'llama'],
    ['llama.block_count', 99],
    ['tokenizer.ggml.tokens', tokens],
    ['tokenizer.ggml.token_type', types],
    ['tokenizer.ggml.merges', texts(['a b'])],
  ] as const;
  await writeFile(tokenizerOf, ggufBytes({ metadata }));
  await writeRandomGguf(to, SHAPE, { tokenizerOf });
  return openGguf(to);
}

const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
const u64 = (value: number) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);

test('writes the shape that it is given, with the tokenizer of another file, grown to the vocabulary', async () => {
  const gguf = await written();
  expect(gguf.metadata.get('llama.block_count')).toBe(2);
  expect(gguf.metadata.get('tokenizer.ggml.merges')).toEqual(['a b']);
  const tokens = gguf.metadata.get('tokenizer.ggml.tokens') as string[];
  expect(tokens).toHaveLength(40);
  expect(new Set(tokens).size).toBe(40);
  expect(gguf.metadata.get('tokenizer.ggml.token_type')).toEqual(Array.from({ length: 40 }, () => 1));
  expect(gguf.names()).toHaveLength(2 + 2 * 9);
  expect(gguf.info('blk.1.ffn_down.weight')).toMatchObject({ dtype: 'Q4_1', shape: [64, 96] });
  expect(gguf.info('blk.0.attn_k.weight').shape).toEqual([32, 64]);
  expect(gguf.info('token_embd.weight')).toMatchObject({ dtype: 'Q8_0', shape: [40, 64] });
  await gguf.close();
});

test('weights have mean 0 and keep the scale of what they multiply', async () => {
  const gguf = await written();
  for (const name of ['token_embd.weight', 'blk.0.ffn_up.weight', 'blk.1.attn_output.weight']) {
    const weights = await gguf.read(name);
    const mean = weights.reduce((sum, value) => sum + value, 0) / weights.length;
    const deviation = Math.sqrt(weights.reduce((sum, value) => sum + (value - mean) ** 2, 0) / weights.length);
    // Of some thousand random weights, by five standard errors.
    expect(Math.abs(mean) * 8).toBeLessThan(0.1);
    expect(deviation * 8).toBeGreaterThan(0.9);
    expect(deviation * 8).toBeLessThan(1.1);
  }
  expect(new Set(await gguf.read('blk.0.attn_norm.weight'))).toEqual(new Set([1]));
  await gguf.close();
});
