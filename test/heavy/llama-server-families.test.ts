/**
 * A tiny model of every family, with adapters on all of its linear modules: llama.cpp's own
 * server computes what our engine computes. So the order of rows in q and k, biases, norms of
 * heads, scaled positions and scales of adapters are as llama.cpp has them.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { someIds } from '#gpu-backend/engine/testing/feed-experts.ts';
import { exportGguf } from '#gpu-backend/export/export-gguf.ts';
import { slidingWindow } from '#gpu-backend/model/config.ts';
import { tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { TINY_FAMILIES, TINY_FAMILY_NAMES } from '#gpu-backend/model/fixtures/tiny-families.ts';
import { openBundle } from '#gpu-backend/model/load-bundle.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';
import { installLlamaServer, LlamaServer } from '../llama-server.ts';
import { farthestRow, llamaCppEngine } from '../llama-server-rows.ts';

const missing = await installLlamaServer();
if (missing !== undefined) console.warn(`SKIPPED, llama.cpp's server is not here: ${missing}`);

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'llama-server-families-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const ATTENTION = ['q_proj', 'k_proj', 'v_proj', 'o_proj'].map((name) => `self_attn.${name}`);
const TARGETS = [...ATTENTION, ...['gate_proj', 'up_proj', 'down_proj'].map((name) => `mlp.${name}`)];

/** As in the engine's own tests of families: both compute in f32, in other orders. */
const TOLERANCE = 1e-3;

const tiny = (config: Record<string, unknown>) => tinyBundle({ config, rank: 3, helpfulnessRank: 5, targets: TARGETS });
const families = TINY_FAMILY_NAMES.filter((family) => slidingWindow(tiny(TINY_FAMILIES[family]).config) === null);

describe.skipIf(missing !== undefined).each(families)('%s', (family) => {
  test.each(['safety', 'helpfulness'] as const)('the %s expert', async (role) => {
    const place = path.join(dir, `${families.indexOf(family)}-${role}`);
    const parts = tiny(TINY_FAMILIES[family]);
    // One module has another scale, as with PEFT's `alpha_pattern`.
    for (const { modules } of parts.experts) [...modules.values()][3]!.scale = 0.7;
    await writeBundle(place, parts, { dtype: 'f32' });
    const { base, adapters } = await exportGguf({ bundle: place, out: `${place}-gguf` });
    const experts = await OnnxExperts.create(await openBundle(place), { threads: 1 });
    const server = await LlamaServer.start({ model: base, lora: [adapters[role]!], exact: true });
    try {
      const prompts = [someIds(40), someIds(7, 3)];
      const topK = parts.config.vocab_size;
      expect(await farthestRow(server.url, { experts, role, prompts, tokens: 4, topK })).toBeLessThan(TOLERANCE);
    } finally {
      await server.close();
      await experts.dispose();
    }
  });
});

/** Most tokens of these models are bytes, and llama.cpp sends no row with half of a character. */
test.skipIf(missing !== undefined)('a greedy answer of bytes has rows as far as they are told', async () => {
  const place = path.join(dir, 'bytes');
  const parts = tiny({});
  await writeBundle(place, parts, { dtype: 'f32' });
  const { base } = await exportGguf({ bundle: place, out: `${place}-gguf` });
  const server = await LlamaServer.start({ model: base, exact: true });
  try {
    const engine = llamaCppEngine(server.url, { topK: 20, vocabSize: parts.config.vocab_size });
    const { signal } = new AbortController();
    const lengths = new Set<number>();
    for (let seed = 0; seed < 12; seed++) {
      const prompt = someIds(9, seed);
      const said = await engine.goOn(prompt, { count: 6, affinity: '', cacheSalt: null, signal });
      lengths.add(said.ids.length);
      for (const [i, row] of said.rows.entries()) {
        const wanted = await engine.nextAt(server.url, [...prompt, ...said.ids.slice(0, i)], signal);
        const theirs = new Map(Array.from(wanted.ids, (id, at) => [id, wanted.logprobs[at]!]));
        for (const [at, id] of row.ids.entries()) {
          expect(Math.abs(row.logprobs[at]! - (theirs.get(id) ?? row.logprobs[at]!))).toBeLessThan(TOLERANCE);
        }
      }
    }
    // Some ended early, and some did not.
    expect(Math.min(...lengths)).toBeLessThan(6);
    expect(Math.max(...lengths)).toBeGreaterThan(1);
  } finally {
    await server.close();
  }
});
