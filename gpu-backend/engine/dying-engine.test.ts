/** Scripted threads that die at any moment. dying-thread.integration.test.ts has real ones. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { collect, request, until } from './testing/engine-contract.ts';
import { startScriptedEngine, startSleepyEngine } from './testing/scripted-engine.ts';

/** One whose thread may die as often as it likes, and is back at once. */
const AT_ONCE = { began: () => {}, died: () => 0 };

test('whenever threads die, every request gets its whole answer or an error that may be retried', async () => {
  const alone = await startScriptedEngine();
  const seeds = [0, 1, 2, 3];
  const expected = await Promise.all(
    seeds.map(async (seed) => (await collect(alone.generate(request({ maxTokens: 3, sampling: { seed } })))).ids),
  );
  await alone.close();
  let whole = 0;
  let broken = 0;
  const one = fc.record({
    turns: fc.integer({ min: 0, max: 4 }),
    seed: fc.constantFrom(...seeds),
    what: fc.constantFrom('asks', 'asks', 'asks and leaves', 'kills'),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(one, { minLength: 1, maxLength: 14 }),
      fc.constantFrom(null, 0, 2),
      async (acts, idleMs) => {
        let kill = () => {};
        const engine = await startSleepyEngine({
          idleMs,
          restarts: AT_ONCE,
          warn: () => {},
          onThread: (killThis) => {
            kill = killThis;
          },
        });
        const answers: Promise<void>[] = [];
        for (const { turns, seed, what } of acts) {
          for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
          if (what === 'kills') {
            kill();
            continue;
          }
          const client = new AbortController();
          const events = engine.generate(request({ maxTokens: 3, sampling: { seed } }), { signal: client.signal });
          const answer = collect(events).then(
            ({ ids }) => {
              whole++;
              expect(ids).toEqual(expected[seed]);
            },
            (error: unknown) => {
              if (what === 'asks and leaves' && client.signal.reason === error) return;
              broken++;
              expect(error).toMatchObject({ code: 'backend_unavailable' });
            },
          );
          if (what === 'asks and leaves') client.abort(new Error('left'));
          answers.push(answer);
        }
        await Promise.all(answers);
        // The last death is noticed in this turn.
        await new Promise((resolve) => setImmediate(resolve));
        expect((await collect(engine.generate(request({ maxTokens: 3, sampling: { seed: 1 } })))).ids).toEqual(
          expected[1],
        );
        await until(() => engine.stats().running === 0 && engine.stats().waiting === 0);
        await engine.close();
      },
    ),
    { numRuns: 100 },
  );
  // Both happened, or this test says nothing.
  expect(whole).toBeGreaterThan(20);
  expect(broken).toBeGreaterThan(20);
});

test('a thread that nobody was waiting for is started again all the same', async () => {
  let kill = () => {};
  const engine = await startSleepyEngine({
    idleMs: null,
    restarts: AT_ONCE,
    warn: () => {},
    onThread: (killThis) => {
      kill = killThis;
    },
  });
  kill();
  await until(() => engine.restarts === 1 && engine.state === 'loaded');
  await engine.close();
});
