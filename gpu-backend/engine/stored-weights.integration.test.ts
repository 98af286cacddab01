/**
 * Bundles served from their file, in every type that weights can have, against the slow decoder
 * over the same weights in memory.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { loadBundle, openBundle } from '../model/load-bundle.ts';
import { restoreWeights } from '../model/testing/restore-weights.ts';
import { slowDecoder } from '../model/testing/slow-decoder.ts';
import { writeBundle } from '../model/write-bundle.ts';
import type { Output, Source, Step } from './experts.ts';
import { OnnxExperts, type OnnxOptions } from './onnx-experts.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'stored-'));
});
afterAll(() => rm(root, { recursive: true }));

/** f32 sums against f64 ones, as in families.integration.test.ts. */
const EXACT = 1e-4;
/**
 * Inputs of products in 8 bits. The logits here have a standard deviation of 1.0 to 1.5, the
 * largest errors found are 0.14 (int8) and 0.08 (int4), and a wrong graph is off by more than 1.
 */
const FAST = 0.4;

const ids = Array.from({ length: 24 }, (_, i) => 10 + ((i * 37) % 200));

/** Matrices with whole blocks, and with `down_proj` none: 48 is no multiple of 32. */
const SHAPES = {
  'all in blocks': { hidden_size: 64, intermediate_size: 96 },
  'all in blocks, untied': { hidden_size: 64, intermediate_size: 96, tie_word_embeddings: false },
  'some in blocks': { hidden_size: 32, intermediate_size: 48 },
};

type Stored = Parameters<typeof restoreWeights>[1];
type TypeOf = Parameters<typeof restoreWeights>[2];

async function served(config: object, as: Stored, typeOf?: TypeOf, options: OnnxOptions = {}) {
  const dir = await mkdtemp(join(root, 'bundle-'));
  await writeBundle(dir, tinyBundle({ config: { ...config } }), { dtype: 'f32' });
  await restoreWeights(dir, as, typeOf);
  const [whole, open] = [await loadBundle(dir), await openBundle(dir)];
  expect(open.digest).toBe(whole.digest);
  return { whole, experts: await OnnxExperts.create(open, { threads: 1, ...options }) };
}

type Fed = Pick<Step, 'ids' | 'reads'>;

const logitsOf = ({ row }: Output) => (row as { logits: Float32Array }).logits;

const distance = (found: Float32Array, wanted: Float32Array) =>
  found.reduce((most, x, i) => Math.max(most, Math.abs(x - wanted[i]!)), 0);

async function worstError(config: object, as: Stored, typeOf?: TypeOf): Promise<number> {
  const { whole, experts } = await served(config, as, typeOf);
  const sources: Source[] = ['safety', 'helpfulness'];
  const sequences = sources.map((source) => experts.open(source));
  // A prompt, then a token.
  await Promise.all(experts.append(sequences.map((sequence) => ({ sequence, ids: ids.slice(0, -1) }))));
  const outputs = await Promise.all(experts.append(sequences.map((sequence) => ({ sequence, ids: ids.slice(-1) }))));
  await experts.dispose();
  const errors = sources.flatMap((source, i) => {
    const wanted = slowDecoder(whole, ids, () => ({ safety: 0, helpfulness: 0, [source]: 1 })).logits;
    const logits = logitsOf(outputs[i]!);
    return wanted.map((x, at) => Math.abs(x - logits[at]!));
  });
  return Math.max(...errors);
}

test('in mixed arithmetic, what was read as an answer is neither kept nor found as a prompt; others keep it', async () => {
  const known = async (as: Stored) => {
    const { experts } = await served(SHAPES['all in blocks'], as, undefined, { prefixBytes: 2 ** 24 });
    const sequence = experts.open('safety');
    const long = [...ids, ...ids, ...ids];
    await Promise.all(experts.append([{ sequence, ids: long.slice(0, 40) }]));
    await Promise.all(experts.append([{ sequence, ids: long.slice(40), reads: 'answer' }]));
    const scope = { tenant: 'acme', publicTokens: 0 };
    experts.keep(sequence, { ids: long, promptTokens: 40, scope });
    const found = experts.recall(experts.open('safety'), { ids: long, scope });
    await experts.dispose();
    return found;
  };
  expect(await known('F32')).toBe(64);
  for (const type of ['int8', 'int4'] as const) {
    for (const arithmetic of ['exact', 'fast'] as const) expect(await known({ type, block: 32, arithmetic })).toBe(64);
    expect(await known({ type, block: 32, arithmetic: 'mixed' })).toBe(32);
  }
});

describe.each(Object.entries(SHAPES))('%s', (_, config) => {
  test.each(['F32', 'F16', 'BF16'] as const)('weights in %s', async (dtype) => {
    expect(await worstError(config, dtype)).toBeLessThan(EXACT);
  });

  test.each(['int8', 'int4'] as const)('weights in %s, exact arithmetic', async (type) => {
    expect(await worstError(config, { type, block: 32, arithmetic: 'exact' })).toBeLessThan(EXACT);
  });

  test('the embedding and the head in int4 too', async () => {
    const as = { type: 'int4', block: 32, arithmetic: 'exact' } as const;
    expect(await worstError(config, as, () => 'int4')).toBeLessThan(EXACT);
  });

  test.each(['int8', 'int4'] as const)('weights in %s, fast arithmetic', async (type) => {
    const worst = await worstError(config, { type, block: 32, arithmetic: 'fast' });
    expect(worst).toBeLessThan(FAST);
    // It would not be the fast one otherwise.
    expect(worst).toBeGreaterThan(EXACT);
  });

  test('mixed arithmetic in int4: a prompt exactly, an answer as the fast one does, also fed again at once', async () => {
    const [mixed, exact, fast] = await Promise.all(
      (['mixed', 'exact', 'fast'] as const).map(async (arithmetic) => {
        return (await served(config, { type: 'int4', block: 32, arithmetic })).experts;
      }),
    );
    const say = async (experts: OnnxExperts, parts: readonly Fed[]) => {
      const sequence = experts.open('safety');
      let row: Float32Array = new Float32Array();
      for (const part of parts) row = logitsOf((await Promise.all(experts.append([{ sequence, ...part }])))[0]!);
      return row;
    };
    const [prompt, answer] = [ids.slice(0, 17), ids.slice(17)];
    const read = { ids: prompt, reads: 'prompt' as const };
    expect(await say(mixed!, [read])).toEqual(await say(exact!, [read]));
    expect(await say(mixed!, [{ ids: prompt }])).toEqual(await say(exact!, [read]));

    const written = answer.map((id) => ({ ids: [id], reads: 'answer' as const }));
    const found = await say(mixed!, [read, ...written]);
    expect(distance(found, await say(mixed!, [read, { ids: answer, reads: 'answer' }]))).toBeLessThan(EXACT);
    expect(distance(found, await say(exact!, [read, ...written]))).toBeGreaterThan(EXACT);
    expect(distance(found, await say(fast!, [read, ...written]))).toBeGreaterThan(EXACT);
    expect(await say(mixed!, written)).toEqual(await say(fast!, written));

    // Beside others, whatever those read.
    const [one, other] = [mixed!.open('safety'), mixed!.open('helpfulness')];
    await Promise.all(mixed!.append([one, other].map((sequence) => ({ sequence, ...read }))));
    const [beside] = await Promise.all(
      mixed!.append([
        { sequence: one, ids: answer, reads: 'answer' },
        { sequence: other, ids: answer, reads: 'prompt' },
      ]),
    );
    expect(distance(found, logitsOf(beside!))).toBeLessThan(EXACT);
    await Promise.all([mixed, exact, fast].map((experts) => experts!.dispose()));
  });
});
