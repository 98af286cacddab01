/**
 * SmolLM2-135M-Instruct under our two experts, on llama.cpp's own server: the same log-
 * probabilities as in our engine. Without pip or a network it is skipped.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { exportGguf, type GgufExport } from '#gpu-backend/export/export-gguf.ts';
import { importModel } from '#gpu-backend/import/import-model.ts';
import { openBundle } from '#gpu-backend/model/load-bundle.ts';
import { checkEngines } from '#gpu-backend/remote/check-engines.ts';
import { installLlamaServer, LlamaServer } from '../llama-server.ts';
import { farthestRow, llamaCppEngine } from '../llama-server-rows.ts';
import { smolLm2Gguf } from '../smollm2-gguf.ts';

const EXPERTS = path.join(import.meta.dirname, '../../models/smollm2-135m-instruct');

let missing: string | undefined;
let dir: string;
let bundleDir: string;
let files: GgufExport;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'llama-server-smollm2-'));
  const found = await smolLm2Gguf();
  missing = 'missing' in found ? found.missing : await installLlamaServer();
  if (missing !== undefined) return console.warn(`SKIPPED, SmolLM2 or llama.cpp's server is not here: ${missing}`);
  bundleDir = path.join(dir, 'bundle');
  // Just checked.
  const { file } = found as { file: string };
  await importModel({ source: file, out: bundleDir, id: 'smollm2', expertsFolder: EXPERTS });
  files = await exportGguf({ bundle: bundleDir, out: path.join(dir, 'gguf') });
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const QUESTIONS = [
  'What is the capital of France?',
  'How do I get rid of the mould on my wall?',
  '请用一句话介绍北京。',
];

test('both experts say what the onnx driver says, and the check finds them fit', async ({ skip }) => {
  skip(missing !== undefined, missing);
  const bundle = await openBundle(bundleDir);
  const serve = (role: 'safety' | 'helpfulness') =>
    LlamaServer.start({ model: files.base, lora: [files.adapters[role]!], exact: true });
  const servers = { safety: await serve('safety'), helpfulness: await serve('helpfulness') };
  const experts = await OnnxExperts.create(bundle, { threads: 1 });
  try {
    const prompts = QUESTIONS.map((content) => bundle.renderChat([{ role: 'user', content }]));
    for (const role of ['safety', 'helpfulness'] as const) {
      const far = await farthestRow(servers[role].url, { experts, role, prompts, tokens: 5, topK: 1000 });
      expect(far, role).toBeLessThan(1e-3);
    }
    const size = { topK: 20, vocabSize: bundle.config.vocab_size };
    const engines = {
      safety: llamaCppEngine(servers.safety.url, size),
      helpfulness: llamaCppEngine(servers.helpfulness.url, size),
    };
    const found = await checkEngines(engines, { head: bundle, signal: new AbortController().signal });
    expect(found.map(({ role, problem }) => [role, problem])).toEqual([
      ['safety', undefined],
      ['helpfulness', undefined],
    ]);
  } finally {
    await experts.dispose();
    await servers.safety.close();
    await servers.helpfulness.close();
  }
});
