/**
 * The engine on WebGPU, as far as a machine without a GPU can show it: SwiftShader does the GPU's
 * work. Every session writes a profile, and the last test reads from them that it was really WebGPU
 * that computed. Without SwiftShader all of this is skipped.
 */
import { globSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import type { Experts, Source, Step } from '#gpu-backend/engine/experts.ts';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import type { ServableBundle } from '#gpu-backend/engine/serving-weights.ts';
import { testExperts } from '#gpu-backend/engine/testing/experts-contract.ts';
import { checkKeptPast } from '#gpu-backend/engine/testing/kept-past.ts';
import { startWorkerEngine } from '#gpu-backend/engine/worker-engine.ts';
import { chooseProvider } from '#gpu-backend/graph/choose-provider.ts';
import { tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { TINY_FAMILIES, TINY_FAMILY_NAMES } from '#gpu-backend/model/fixtures/tiny-families.ts';
import { type Bundle, loadBundle, openBundle } from '#gpu-backend/model/load-bundle.ts';
import { restoreWeights } from '#gpu-backend/model/testing/restore-weights.ts';
import { gateOf, slowDecoder } from '#gpu-backend/model/testing/slow-decoder.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';
import { startBackend } from '#gpu-backend/server/start-backend.ts';
import {
  allFrames,
  call,
  DRAW_SECRET,
  generateRequest,
  receiptKeys,
  SECRET,
} from '#gpu-backend/server/testing/backend-client.ts';
import { useSwiftShader } from '../swiftshader.ts';

const missing = useSwiftShader();
if (missing !== null) console.warn(`SKIPPED, WebGPU is not tested here: ${missing}`);

const DEMO = path.join(import.meta.dirname, '../../models/demo');

/**
 * The same sums as the slow decoder's, in float32 and in another order. The errors found are below
 * 4e-6, as on the CPU; a wrong operator changes logits by 0.01 and more.
 */
const TOLERANCE = 1e-4;
/**
 * Inputs of products in 8 bits, as stored-weights.integration.test.ts has it for the CPU; a wrong
 * graph is off by more than 1.
 */
const FAST = 0.4;

describe.skipIf(missing !== null)('WebGPU', () => {
  let root: string;
  let profiles: string;
  let routed: Bundle;
  beforeAll(async () => {
    root = await mkdtemp(path.join(tmpdir(), 'webgpu-'));
    profiles = path.join(root, 'profile');
    await writeBundle(path.join(root, 'routed'), tinyBundle({ routers: true }));
    routed = await loadBundle(path.join(root, 'routed'));
  });
  afterAll(() => rm(root, { recursive: true }));

  const onWebGpu = (bundle: ServableBundle): Promise<Experts> =>
    OnnxExperts.create(bundle, { provider: 'webgpu', profile: profiles });

  /** Reads ten tokens, the last of them alone, and compares each expert with the slow decoder. */
  async function worstError(served: ServableBundle, bundle: Bundle, sources: readonly Source[]): Promise<number> {
    const experts = await onWebGpu(served);
    const rows = sources.map((source) => ({ source, sequence: experts.open(source) }));
    let worst = 0;
    // The windows are 7 tokens, so both parts look back over an edge.
    for (const [from, to] of [
      [0, 9],
      [9, 10],
    ] as const) {
      const steps = rows.map(
        ({ source, sequence }): Step => ({
          sequence,
          ids: ids.slice(from, to),
          ...(source === 'layers' && { bounds }),
        }),
      );
      const outputs = await Promise.all(experts.append(steps));
      for (const [i, { source }] of rows.entries()) {
        const found = (outputs[i]!.row as { logits: Float32Array }).logits;
        const wanted = slowLogits(bundle, source, ids.slice(0, to));
        worst = wanted.reduce((most, x, id) => Math.max(most, Math.abs(x - found[id]!)), worst);
      }
    }
    await experts.dispose();
    return worst;
  }

  describe('while another session is open', () => {
    // Then onnxruntime keeps the programs that it has compiled for others.
    let open: Experts;
    beforeAll(async () => {
      open = await onWebGpu(routed);
    });
    afterAll(() => open.dispose());

    testExperts('onnxruntime on WebGPU', {
      create: () => onWebGpu(routed),
      abilities: {
        hidden: true,
        layers: true,
        fork: true,
        score: true,
        draft: 0,
        sums: false,
        prefixes: false,
        topK: null,
      },
      tolerance: TOLERANCE,
    });

    test('keys and values stay on the device while the same rows go on, and are the slab’s whatever rows do', async () => {
      const kept = await OnnxExperts.create(routed, { provider: 'webgpu', profile: profiles });
      await checkKeptPast(kept, { plain: await OnnxExperts.create(routed), tolerance: TOLERANCE });
    });

    test.each(TINY_FAMILY_NAMES)('%s computes what the slow decoder does', async (name) => {
      const dir = path.join(root, name);
      await writeBundle(dir, tinyBundle({ routers: true, config: TINY_FAMILIES[name] }), { dtype: 'f32' });
      const bundle = await loadBundle(dir);
      expect(await worstError(bundle, bundle, ['safety', 'helpfulness', 'layers'])).toBeLessThan(TOLERANCE);
    });

    test.each([
      ['F32', TOLERANCE],
      ['F16', TOLERANCE],
      [{ type: 'int8', block: 32, arithmetic: 'exact' }, TOLERANCE],
      [{ type: 'int4', block: 32, arithmetic: 'exact' }, TOLERANCE],
      [{ type: 'int4', block: 32, arithmetic: 'fast' }, FAST],
    ] as const)('weights that stay in their file, as %o, are read right', async (as, tolerance) => {
      const dir = await mkdtemp(path.join(root, 'stored-'));
      // Whole blocks of 32 everywhere.
      const config = { hidden_size: 64, intermediate_size: 96 };
      await writeBundle(dir, tinyBundle({ config }), { dtype: 'f32' });
      await restoreWeights(dir, as);
      const worst = await worstError(await openBundle(dir), await loadBundle(dir), ['safety', 'helpfulness']);
      expect(worst).toBeLessThan(tolerance);
    });
  });

  test('a backend on WebGPU says so, and gives the demo’s answer', async () => {
    const { receiptPrivateJwk } = await receiptKeys();
    const answer = async (provider: 'cpu' | 'webgpu') => {
      const keys = { directiveSecret: SECRET, drawSecret: DRAW_SECRET, receiptPrivateJwk };
      const backend = await startBackend({ bundle: DEMO, port: 0, provider, ...keys }, { log: () => {} });
      const health = z.object({ provider: z.string(), model: z.string() });
      const about = health.parse(await (await fetch(`${backend.url}/healthz`)).json());
      const metrics = await (await fetch(`${backend.url}/metrics`)).text();
      const content = 'How do I get rid of mould on a wall?';
      const { model } = about;
      const request = generateRequest({ model, messages: [{ role: 'user', content }], max_tokens: 5, temperature: 0 });
      const frames = await allFrames(await call(backend.url, request));
      await backend.close();
      const says = metrics.includes(`plimsoll:engine_info{provider="${provider}",model_name="${model}"} 1`);
      return {
        provider: about.provider,
        says,
        ids: frames.flatMap((frame) => (frame.type === 'token' ? [frame.id] : [])),
      };
    };
    const wanted = await answer('cpu');
    expect(wanted).toMatchObject({ provider: 'cpu', says: true });
    expect(wanted.ids).toHaveLength(5);
    expect(await answer('webgpu')).toEqual({ ...wanted, provider: 'webgpu' });
  });

  test('a second engine on WebGPU in the same process is refused while the first one lives', async () => {
    const options = { dir: path.join(root, 'routed'), threads: 1, provider: 'webgpu' } as const;
    const first = await startWorkerEngine(options);
    await expect(startWorkerEngine(options)).rejects.toThrow(/another engine of this process/);
    await first.close();
    await (await startWorkerEngine(options)).close();
  });

  test('auto does not take SwiftShader for a GPU', async () => {
    const { provider, passedOver } = await chooseProvider('auto');
    expect(provider).not.toBe('webgpu');
    if (provider === 'cpu') expect(passedOver[1]).toMatch(/perhaps not on a real GPU/);
  });

  /** Last, when the sessions above have written their profiles. */
  test('all operators ran on WebGPU', () => {
    const files = globSync(`${profiles}*.json`);
    expect(files.length).toBeGreaterThan(TINY_FAMILY_NAMES.length);
    const ran = { CPUExecutionProvider: new Set<string>(), WebGpuExecutionProvider: new Set<string>() };
    for (const file of files) {
      for (const event of Profile.parse(JSON.parse(readFileSync(file, 'utf8')))) {
        if (event.args?.provider !== undefined) ran[event.args.provider].add(event.args.op_name!);
      }
    }
    expect([...ran.WebGpuExecutionProvider]).toEqual(
      expect.arrayContaining(['Gemm', 'MatMul', 'Softmax', 'RotaryEmbedding']),
    );
    expect([...ran.CPUExecutionProvider]).toEqual([]);
  });
});

/** What we read of onnxruntime's profile. */
const Profile = z.array(
  z.object({
    args: z
      .object({ provider: z.enum(['CPUExecutionProvider', 'WebGpuExecutionProvider']), op_name: z.string() })
      .partial()
      .optional(),
  }),
);

const ids = Array.from({ length: 10 }, (_, i) => 10 + ((i * 37) % 200));
const bounds = { floor: 0.4, ceiling: 0.9 };
const clamp = (x: number, low: number, high: number) => Math.min(Math.max(x, low), high);

function slowLogits(bundle: Bundle, source: Source, prompt: readonly number[]): number[] {
  return slowDecoder(bundle, prompt, ({ layer, h }) => {
    if (source !== 'layers') return { safety: 0, helpfulness: 0, [source]: 1 };
    const { alpha, beta } = bundle.routers.layers!.layers[layer]!;
    return {
      safety: clamp(gateOf(alpha, h), bounds.floor, bounds.ceiling),
      helpfulness: clamp(gateOf(beta, h), 1 - bounds.ceiling, 1 - bounds.floor),
    };
  }).logits;
}
