/** A real model through the importer: SmolLM2's GGUF file, 98 MB in Q4_1. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { asHuggingFace } from '#gpu-backend/gguf/as-hugging-face.ts';
import { openGguf } from '#gpu-backend/gguf/open-gguf.ts';
import { importModel } from '#gpu-backend/import/import-model.ts';
import { SAFETY_PROMPT_FILE } from '#gpu-backend/import/safety-prompt.ts';
import { selfTest } from '#gpu-backend/inspect/self-test.ts';
import { loadBundle, openBundle } from '#gpu-backend/model/load-bundle.ts';
import { smolLm2Gguf } from '../smollm2-gguf.ts';

test('SmolLM2 is imported with its weights, tokenizer and template, and each expert speaks', async ({ skip }) => {
  const found = await smolLm2Gguf();
  if ('missing' in found) return skip(found.missing);
  const root = await mkdtemp(path.join(tmpdir(), 'import-smollm2-'));
  try {
    const out = path.join(root, 'smollm2');
    const prompt = await readFile(SAFETY_PROMPT_FILE, 'utf8');
    const startedAt = performance.now();
    await importModel({ source: found.file, out, id: 'smollm2', experts: { safety: { prompt }, helpfulness: {} } });
    const importMs = performance.now() - startedAt;
    const writeMs = await writeAndHash(path.join(out, 'model.safetensors'), path.join(root, 'copy'));
    // Printed, not asserted: machines are busy.
    console.log(
      `import ${importMs.toFixed(0)} ms, writing and hashing the same bytes ${writeMs.toFixed(0)} ms, ` +
        `ratio ${(importMs / writeMs).toFixed(2)}`,
    );

    const bundle = await openBundle(out);
    expect(bundle.config).toMatchObject({
      ...{ model_type: 'llama', hidden_size: 576, num_hidden_layers: 30, vocab_size: 49_152, rope_theta: 100_000 },
      ...{ rms_norm_eps: 1e-5, tie_word_embeddings: true, max_position_embeddings: 8192, eos_token_id: [2, 0] },
    });
    expect(bundle.manifest).toMatchObject({
      licence: 'Apache-2.0',
      provenance: {
        files: [{ bytes: 98_362_432, sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53' }],
      },
    });
    const source = asHuggingFace(await openGguf(found.file));
    for (const [name, { data }] of (await loadBundle(out)).weights) {
      expect(Buffer.compare(bytesOf(await source.read(name)), bytesOf(data)), name).toBe(0);
    }
    await source.close();
    const said = await selfTest(bundle);
    expect(said.map((one) => one.source)).toEqual(['safety', 'helpfulness']);
    expect(said[1]).toMatchObject({ promptTokens: 37, likeliest: 'The' });
  } finally {
    await rm(root, { recursive: true });
  }
});

test.for(['int8', 'int4'] as const)('SmolLM2 is imported in %s, and each expert speaks', async (weights, { skip }) => {
  const found = await smolLm2Gguf();
  if ('missing' in found) return skip(found.missing);
  const root = await mkdtemp(path.join(tmpdir(), 'import-smollm2-'));
  try {
    const out = path.join(root, weights);
    const prompt = await readFile(SAFETY_PROMPT_FILE, 'utf8');
    const experts = { safety: { prompt }, helpfulness: {} };
    await importModel({ source: found.file, out, id: 'smollm2', experts, weights });
    const source = asHuggingFace(await openGguf(found.file));
    for (const [name, { data }] of (await loadBundle(out)).weights) {
      const { dtype } = source.info(name);
      // Q4_1 has the form of these weights already.
      if (dtype !== 'Q4_1') continue;
      const wanted = await source.read(name);
      expect(data.length === wanted.length && data.every((weight, i) => weight === wanted[i]), name).toBe(true);
    }
    await source.close();
    const said = await selfTest(await openBundle(out));
    expect(said.map(({ likeliest }) => likeliest)).toEqual(['The', 'The']);
  } finally {
    await rm(root, { recursive: true });
  }
});

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => new Uint8Array(buffer, byteOffset, byteLength);

async function writeAndHash(from: string, to: string): Promise<number> {
  const bytes = await readFile(from);
  const startedAt = performance.now();
  const file = await open(to, 'w');
  await file.writeFile(bytes);
  await file.sync();
  await file.close();
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(to, { highWaterMark: 1 << 20 })) hash.update(chunk);
  hash.digest();
  return performance.now() - startedAt;
}
