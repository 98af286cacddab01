/** What keys and values really take, under requests that come and go as admission lets them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { loadBundle } from '../model/load-bundle.ts';
import { writeBundle } from '../model/write-bundle.ts';
import { DraftPlanner } from './draft-planner.ts';
import { OnnxExperts } from './onnx-experts.ts';
import { request } from './testing/engine-contract.ts';
import { schedule } from './testing/schedule.ts';

const CONTEXT = 640;

const anyRequest = fc.record({
  prompt: fc.integer({ min: 1, max: 250 }),
  own: fc.integer({ min: 1, max: 250 }),
  maxTokens: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.constant(60)),
  tenant: fc.constantFrom('a', 'b'),
  floor: fc.constantFrom(0, 0.5, 1),
  rounds: fc.integer({ min: 0, max: 8 }),
});

test('slab and copies on onnxruntime stay within the memory that requests were admitted to', async () => {
  const root = await mkdtemp(join(tmpdir(), 'kept-memory-'));
  await writeBundle(join(root, 'tiny'), tinyBundle());
  const loaded = await loadBundle(join(root, 'tiny'));
  const bundle = { ...loaded, config: { ...loaded.config, max_position_embeddings: CONTEXT } };
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyRequest, { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 6 }),
      fc.boolean(),
      async (all, rows, keepsPast) => {
        const one = await OnnxExperts.create(bundle, { threads: 1 });
        const kvBytes = one.cacheBytes(Array(rows).fill(320));
        await one.dispose();
        const experts = await OnnxExperts.create(bundle, { threads: 1, kvBytes, prefixBytes: 2 ** 18, keepsPast });
        let most = 0;
        const { append } = experts;
        experts.append = (steps) =>
          append.call(experts, steps).map(async (output) => {
            const settled = await output;
            most = Math.max(most, experts.heldBytes);
            return settled;
          });
        const drafts = new DraftPlanner({ costRatio: () => 1 });
        const vocabulary = { eos: [0], banned: [], bytesOf: (id: number) => Uint8Array.of(65 + (id % 26)) };
        const options = { vocabulary, proposal: 0.5, contextLength: CONTEXT, drafts };
        const { scheduler, of, warnings } = schedule(experts, { ...options, limits: { kvBytes, maxRows: 12 } });
        for (const [id, { prompt, own, maxTokens, tenant, floor, rounds }] of all.entries()) {
          const rowPrompts = { safety: Array<number>(own).fill(5) };
          const promptIds = Array<number>(prompt).fill(6);
          scheduler.submit(id, request({ promptIds, rowPrompts, maxTokens, tenant, line: { floor } }));
          for (let round = 0; round < rounds; round++) await scheduler.round();
        }
        while (await scheduler.round());
        expect(most).toBeLessThanOrEqual(kvBytes);
        expect(warnings).toEqual([]);
        for (const id of all.keys()) {
          const { events, error } = of(id);
          if (error) expect([error.code, events]).toEqual(['context_length_exceeded', []]);
          else expect(events.at(-1)).toMatchObject({ type: 'end' });
        }
        await experts.dispose();
      },
    ),
    { numRuns: 15 },
  );
  await rm(root, { recursive: true });
});
