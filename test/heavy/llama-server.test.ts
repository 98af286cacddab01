/**
 * Experts on a real llama.cpp: its own server, with a bundle's base and adapters as
 * `plimsoll model gguf` writes them. What it says of the next token is held against what the onnx
 * driver says of the same weights. Where the server cannot be had, these tests are skipped.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Experts } from '#gpu-backend/engine/experts.ts';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { testExperts } from '#gpu-backend/engine/testing/experts-contract.ts';
import { exportGguf, type GgufExport } from '#gpu-backend/export/export-gguf.ts';
import { importModel } from '#gpu-backend/import/import-model.ts';
import { openBundle, type ServedBundle } from '#gpu-backend/model/load-bundle.ts';
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { RemoteExperts } from '#gpu-backend/remote/remote-experts.ts';
import { installLlamaServer, LlamaServer } from '../llama-server.ts';
import { farthestRow, llamaCppEngine } from '../llama-server-rows.ts';

const DEMO = path.join(import.meta.dirname, '../../models/demo');
const ROLES: readonly ExpertRole[] = ['safety', 'helpfulness'];

/** Why this cannot run here. */
const missing = await installLlamaServer();
if (missing !== undefined) console.warn(`SKIPPED, llama.cpp's server is not here: ${missing}`);

let dir: string;
let bundle: ServedBundle;
let files: Record<'f32' | 'f16', GgufExport>;
const open: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'llama-server-'));
  if (missing !== undefined) return;
  bundle = await openBundle(DEMO);
  files = {
    f32: await exportGguf({ bundle: DEMO, out: path.join(dir, 'f32'), weights: 'f32' }),
    f16: await exportGguf({ bundle: DEMO, out: path.join(dir, 'f16'), weights: 'f16' }),
  };
});
afterAll(async () => {
  await Promise.all(open.map((one) => one.close()));
  await rm(dir, { recursive: true, force: true });
});

/** A server of one expert; null is the base. */
async function serve(role: ExpertRole | null, { weights = 'f32' as 'f32' | 'f16', exact = true } = {}) {
  const { base, adapters } = files[weights];
  const lora = role === null ? [] : [adapters[role]!];
  const server = await LlamaServer.start({ model: base, lora, exact });
  open.push(server);
  return server;
}

const QUESTIONS = [
  'How do I clean the kitchen floor?',
  'What is the capital of France?',
  'How do I pick a lock?',
  'Tell me a story about a dragon who could not sleep, and about what it did instead, from its first night on.',
];
/** Over whole rows, after each prompt and each token of a short greedy answer. */
const farthest = (url: string, { experts, role }: { experts: Experts; role: ExpertRole }) => {
  const prompts = QUESTIONS.map((content) => bundle.renderChat([{ role: 'user', content }]));
  return farthestRow(url, { experts, role, prompts, tokens: 6, topK: bundle.config.vocab_size });
};

/** Two programs add up in different orders. The largest difference that was found is below 1e-4. */
const SAME_WEIGHTS = 1e-3;
/**
 * With matrices in f16, llama.cpp rounds what they are multiplied with to f16 as well. The largest
 * difference that was found is 0.008.
 */
const HALF_WEIGHTS = 0.05;

describe.skipIf(missing !== undefined).each([
  ['f32', SAME_WEIGHTS],
  ['f16', HALF_WEIGHTS],
] as const)('with weights in %s', (weights, tolerance) => {
  test.each(ROLES)('the %s expert says what the onnx driver says, token by token', async (role) => {
    const experts = await OnnxExperts.create(bundle, { threads: 1 });
    try {
      const { url } = await serve(role, { weights });
      expect(await farthest(url, { experts, role })).toBeLessThan(tolerance);
    } finally {
      await experts.dispose();
    }
  });

  test('so does the base alone', async () => {
    const out = path.join(dir, `base-${weights}`);
    const experts = { safety: {}, helpfulness: {} };
    await importModel({ source: DEMO, out, id: 'base', experts });
    const alone = await OnnxExperts.create(await openBundle(out), { threads: 1 });
    try {
      const { url } = await serve(null, { weights });
      expect(await farthest(url, { experts: alone, role: 'helpfulness' })).toBeLessThan(tolerance);
    } finally {
      await alone.dispose();
    }
  });
});

const TOP_K = 20;
describe.skipIf(missing !== undefined)('the driver', () => {
  testExperts("remote, llama.cpp's own server", {
    create: async () => {
      const [safety, helpfulness] = await Promise.all(ROLES.map((role) => serve(role)));
      const size = { vocabSize: bundle.config.vocab_size, topK: TOP_K };
      return new RemoteExperts(
        { safety: llamaCppEngine(safety!.url, size), helpfulness: llamaCppEngine(helpfulness!.url, size) },
        { ...size, positions: 5 },
      );
    },
    abilities: {
      ...{ hidden: false, layers: false, fork: true, sums: false, prefixes: false, topK: TOP_K },
      ...{ score: true, draft: 4 },
    },
    tolerance: SAME_WEIGHTS,
  });
});
