/** An engine that sleeps: the whole contract, asleep after every answer, and what may go wrong. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Engine } from './engine.ts';
import { collect, request, testEngine, until } from './testing/engine-contract.ts';
import { startScriptedEngine, startSleepyEngine } from './testing/scripted-engine.ts';

testEngine('scripted, asleep after every answer', {
  create: (limits = {}) => startSleepyEngine({ limits }),
  createWithoutRouters: () => startSleepyEngine({ modes: ['logits'] }),
});

const asleep = (engine: Engine) => until(() => engine.state === 'idle');

test('it unloads when nobody asks, loads again for the next request, and the answers stay the same', async () => {
  let loads = 0;
  const load = (options: object) => {
    loads++;
    return options;
  };
  const engine = await startSleepyEngine({ load });
  const awake = await startScriptedEngine();
  for (const seed of [1, 2]) {
    await asleep(engine);
    const asked = { sampling: { seed } };
    expect((await collect(engine.generate(request(asked)))).ids).toEqual(
      (await collect(awake.generate(request(asked)))).ids,
    );
    await asleep(engine);
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, rows: 0 });
  }
  expect(loads).toBe(3);
  await Promise.all([engine.close(), awake.close()]);
});

test('it does not unload while an answer is read, or if it was told never to', async () => {
  const engine = await startSleepyEngine({ stepMs: 2 });
  for await (const _event of engine.generate(request())) expect(engine.state).not.toBe('idle');
  await engine.close();

  const never = await startSleepyEngine({ idleMs: null });
  await collect(never.generate(request()));
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(never.state).toBe('loaded');
  await never.close();
});

test('a request that has to wait for the engine to load is told so again and again, also how many are ahead', async () => {
  const engine = await startSleepyEngine({ loadMs: 60, waitingEveryMs: 5 });
  await asleep(engine);
  const answers = [1, 2].map((seed) => collect(engine.generate(request({ maxTokens: 3, sampling: { seed } }))));
  await until(() => engine.state === 'loading');
  expect(engine.stats()).toMatchObject({ running: 0, waiting: 2, rows: 0 });
  const [first, second] = await Promise.all(answers);
  expect(first?.ahead.length).toBeGreaterThan(1);
  expect(new Set(first?.ahead)).toEqual(new Set([0]));
  expect(second?.ahead.length).toBeGreaterThan(1);
  expect(second?.ahead[0]).toBe(1);
  await engine.close();
});

test('a request refused for what it asks does not load anything', async () => {
  const engine = await startSleepyEngine();
  await asleep(engine);
  const promptIds = Array.from({ length: 96 }, () => 70);
  await expect(collect(engine.generate(request({ promptIds })))).rejects.toMatchObject({
    code: 'context_length_exceeded',
  });
  expect(engine.state).toBe('idle');
  await engine.close();
});

test('a request whose client left while the engine unloaded does not load it again', async () => {
  let loads = 0;
  const load = (options: object) => {
    loads++;
    return options;
  };
  const { promise: unloaded, resolve: unload } = Promise.withResolvers<void>();
  const engine = await startSleepyEngine({ load, unloaded });
  await asleep(engine);
  const left = new AbortController();
  const answer = collect(engine.generate(request(), { signal: left.signal }));
  left.abort(new Error('the client left'));
  await expect(answer).rejects.toThrow('the client left');
  unload();
  await new Promise((resolve) => setImmediate(resolve));
  expect(loads).toBe(1);
  // The next one does, and only then.
  await collect(engine.generate(request()));
  expect(loads).toBe(2);
  await engine.close();
});

test('no request is lost, whenever it comes: while the engine is loaded, unloads, sleeps or loads', async () => {
  const alone = await startScriptedEngine();
  const seeds = [0, 1, 2, 3];
  const expected = await Promise.all(
    seeds.map(async (seed) => (await collect(alone.generate(request({ maxTokens: 3, sampling: { seed } })))).ids),
  );
  await alone.close();
  const pause = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 4 }));
  const one = fc.record({ pause, seed: fc.constantFrom(...seeds), leaves: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(
      fc.array(one, { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 0, max: 2 }),
      async (asks, idleMs) => {
        const engine = await startSleepyEngine({ idleMs });
        const answers: Promise<void>[] = [];
        for (const { pause, seed, leaves } of asks) {
          // Some pauses are turns of the event loop, because that is how long unloading takes here.
          for (let turn = 0; turn < pause; turn++) await new Promise((resolve) => setImmediate(resolve));
          if (pause === 4) await new Promise((resolve) => setTimeout(resolve, 3));
          const client = new AbortController();
          const events = engine.generate(request({ maxTokens: 3, sampling: { seed } }), { signal: client.signal });
          const answer = collect(events).then(({ ids }) => expect(ids).toEqual(expected[seed]));
          if (leaves) {
            client.abort(new Error('left'));
            answers.push(expect(answer).rejects.toThrow('left'));
          } else answers.push(answer);
        }
        await Promise.all(answers);
        await asleep(engine);
        await engine.close();
        expect(engine.alive).toBe(false);
      },
    ),
    { numRuns: 60 },
  );
});

test('a bundle that changed meanwhile ends the engine and its requests, because its prompts are encoded for the old one', async () => {
  const said: string[] = [];
  let loads = 0;
  const engine = await startSleepyEngine({
    load: (options) => ({ ...options, digest: String(loads++ === 0 ? 1 : 2).repeat(64) }),
    warn: (message) => said.push(message),
  });
  await asleep(engine);
  await expect(collect(engine.generate(request()))).rejects.toMatchObject({ code: 'backend_unavailable' });
  await engine.closed;
  expect(engine.alive).toBe(false);
  expect(said).toEqual([expect.stringMatching(/^the bundle changed .*: digest is "2+", it was "1+"$/)]);
});

test('closing it while it sleeps or loads is quick and final', async () => {
  const engine = await startSleepyEngine();
  await asleep(engine);
  await engine.close();
  const other = await startSleepyEngine();
  await asleep(other);
  const answer = collect(other.generate(request()));
  await Promise.all([expect(answer).rejects.toMatchObject({ code: 'backend_unavailable' }), other.close()]);
  for (const each of [engine, other]) {
    expect(each.alive).toBe(false);
    await expect(collect(each.generate(request()))).rejects.toMatchObject({ code: 'backend_unavailable' });
  }
});
