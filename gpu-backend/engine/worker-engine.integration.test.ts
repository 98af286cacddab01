import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Expert } from '../model/adapter.ts';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { type Bundle, loadBundle } from '../model/load-bundle.ts';
import { proposeWeight } from '../model/propose-weight.ts';
import { slowDecoder } from '../model/testing/slow-decoder.ts';
import { writeBundle } from '../model/write-bundle.ts';
import { bundleVocabulary } from './bundle-vocabulary.ts';
import { collect, request, testEngine, until } from './testing/engine-contract.ts';
import { startWorkerEngine } from './worker-engine.ts';

let root: string;
let dir: string;
let routedDir: string;
/** The same model, once without routers and once with both. */
let bundle: Bundle;
let routed: Bundle;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'engine-'));
  dir = join(root, 'tiny');
  routedDir = join(root, 'routed');
  await writeBundle(dir, tinyBundle());
  await writeBundle(routedDir, tinyBundle({ routers: true }));
  [bundle, routed] = [await loadBundle(dir), await loadBundle(routedDir)];
});
afterAll(() => rm(root, { recursive: true }));

testEngine('onnxruntime in its own thread', {
  create: (limits = {}) => startWorkerEngine({ dir: routedDir, threads: 1, limits }),
  createWithoutRouters: () => startWorkerEngine({ dir, threads: 1 }),
});

describe('an engine in its own thread', () => {
  test('draws no control token except the end token, however high the temperature', async () => {
    const { banned, eos } = bundleVocabulary(bundle);
    expect(banned).toEqual([0, 1, 2, 3, 4, 267, 268, 269, 270, 271]);
    const engine = await startWorkerEngine({ dir, threads: 1 });
    for (let seed = 0; seed < 4; seed++) {
      const { ids } = await collect(engine.generate(request({ maxTokens: null, sampling: { seed, temperature: 2 } })));
      expect(ids.slice(0, -1).filter((id) => banned.includes(id) || eos.includes(id))).toEqual([]);
    }
    await engine.close();
  });

  test('proposes the weights of the bundle’s logits router, or else its default weight', async () => {
    const { promptIds } = request();
    const hidden = (role: Expert['role']) =>
      Float32Array.from(slowDecoder(routed, promptIds, () => ({ safety: 0, helpfulness: 0, [role]: 1 })).hidden);
    const expected = proposeWeight(routed.routers.logits!, hidden('safety'), hidden('helpfulness'));
    const weights = async (from: string) => {
      const engine = await startWorkerEngine({ dir: from, threads: 1 });
      const { tokens } = await collect(engine.generate(request({ maxTokens: 6 })));
      await engine.close();
      return tokens.map(({ weight }) => weight);
    };
    const [first, ...rest] = await weights(routedDir);
    // Hidden states of two float32 layers, fed into one sigmoid.
    expect(first).toBeCloseTo(expected, 4);
    expect(new Set(rest).size).toBeGreaterThan(1);
    expect(await weights(dir)).toEqual(Array(6).fill(bundle.manifest.default_weight));
  });

  test('ends its thread when nobody asks, and answers as before after the next start', async () => {
    const engine = await startWorkerEngine({ dir, threads: 1, idleMs: 0 });
    const { ids } = await collect(engine.generate(request({ maxTokens: 6 })));
    await until(() => engine.state === 'idle');
    expect(await collect(engine.generate(request({ maxTokens: 6 })))).toMatchObject({ ids });
    // A bundle that is gone by then cannot be loaded, and the engine says that it is over.
    const moved = join(root, 'moved');
    await until(() => engine.state === 'idle');
    await rename(dir, moved);
    const answer = collect(engine.generate(request()));
    await expect(answer).rejects.toMatchObject({ code: 'backend_unavailable' });
    await engine.closed;
    expect(engine.alive).toBe(false);
    await rename(moved, dir);
  });

  test('refuses to start with a broken bundle and says what is wrong', async () => {
    await expect(startWorkerEngine({ dir: join(dir, 'nowhere') })).rejects.toThrow(
      /^config\.json: cannot be read: found no such file/,
    );
  });
});
