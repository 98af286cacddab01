/** Threads with a real model that really die, and what their requests and the next ones see. */
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { writeBundle } from '../model/write-bundle.ts';
import type { EngineEvent } from './engine.ts';
import { collect, request, until } from './testing/engine-contract.ts';
import { type Death, diesBy } from './testing/mortal-thread.ts';
import { startWorkerEngine } from './worker-engine.ts';

let dir: string;
beforeEach(async () => {
  const root = await mkdtemp(join(tmpdir(), 'dying-thread-'));
  onTestFinished(() => rm(root, { recursive: true }));
  dir = join(root, 'tiny');
  await writeBundle(dir, tinyBundle());
});

async function start() {
  const said: string[] = [];
  const engine = await startWorkerEngine({
    dir,
    threads: 1,
    warn: (message) => said.push(message),
    thread: {
      file: new URL('./testing/mortal-thread.ts', import.meta.url),
      // Little enough to be full soon.
      resourceLimits: { maxOldGenerationSizeMb: 96 },
    },
  });
  onTestFinished(() => engine.close());
  return { engine, said };
}

const deadly = (how: Death, afterTokens: number) => request({ maxTokens: 30, tenant: diesBy(how, { afterTokens }) });
const FAILED = { code: 'backend_unavailable', status: 503, message: expect.stringContaining('failed during this') };

/** All events, and the error that ended them, if one did. */
async function readToEnd(events: AsyncIterable<EngineEvent>): Promise<{ types: string[]; error: unknown }> {
  const types: string[] = [];
  try {
    for await (const { type } of events) types.push(type);
  } catch (error) {
    return { types, error };
  }
  return { types, error: null };
}

test.each<[Death, RegExp]>([
  ['throw', /died \(killed by a test\); 2 requests end with it; it starts again in 0\.25 s$/],
  ['exit', /died \(it exited with code 7\); 2 requests end with it; it starts again in 0\.25 s$/],
  ['heap', /died \(.*memory.*\); 2 requests end with it; it starts again in 0\.25 s$/],
])('a death by %s ends the requests under way, and the next ones get the answers of before', async (how, line) => {
  const { engine, said } = await start();
  const { ids } = await collect(engine.generate(request()));

  const other = readToEnd(engine.generate(request({ maxTokens: null })));
  const { types, error } = await readToEnd(engine.generate(deadly(how, 6)));
  expect(types).toContain('token');
  expect(error).toMatchObject(FAILED);
  expect((await other).error).toMatchObject(FAILED);
  expect(said).toEqual([expect.stringMatching(line)]);
  expect(engine.alive).toBe(true);
  expect(engine.state).toBe('restarting');
  expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, rows: 0 });

  const later = [collect(engine.generate(request())), collect(engine.generate(request()))];
  expect(engine.stats()).toMatchObject({ running: 0, waiting: 2, rows: 0 });
  const answers = await Promise.all(later);
  expect(answers.map((answer) => answer.ids)).toEqual([ids, ids]);
  expect(answers[1]?.ahead[0]).toBe(1);
  expect(engine.state).toBe('loaded');
  expect(engine.restarts).toBe(1);
});

test('a thread that dies while it loads again loses no request that waits for it', async () => {
  const { engine, said } = await start();
  const { ids } = await collect(engine.generate(request()));
  const curse = join(dir, 'dies-loading');
  await writeFile(curse, '');
  await readToEnd(engine.generate(deadly('exit', 1)));
  const waiting = collect(engine.generate(request()));
  await until(() => said.length === 2);
  await rm(curse);
  expect((await waiting).ids).toEqual(ids);
  expect(said[1]).toMatch(/died \(it exited with code 9\); 0 requests end with it; it starts again in 0\.5 s$/);
  expect(engine.restarts).toBe(2);
});

test('an engine whose threads die four times in a row is over, and says so', async () => {
  const { engine, said } = await start();
  for (let death = 0; death < 4; death++) await readToEnd(engine.generate(deadly('exit', 1)));
  await engine.closed;
  expect(engine.alive).toBe(false);
  expect(said).toHaveLength(4);
  expect(said.at(-1)).toMatch(/1 request ends with it; it died 4 times in a row, so the engine stops$/);
  await expect(collect(engine.generate(request()))).rejects.toMatchObject({ code: 'backend_unavailable' });
});

test('closing it while it waits to start again is quick and final, also for requests that wait', async () => {
  const { engine } = await start();
  await readToEnd(engine.generate(deadly('exit', 1)));
  const waiting = collect(engine.generate(request()));
  await Promise.all([expect(waiting).rejects.toMatchObject({ code: 'backend_unavailable' }), engine.close()]);
  expect(engine.alive).toBe(false);
  expect(engine.restarts).toBe(0);
});

test('a bundle that cannot be read for a moment loses no request that waits for it', async () => {
  const { engine, said } = await start();
  const { ids } = await collect(engine.generate(request()));
  await readToEnd(engine.generate(deadly('exit', 1)));
  const [config, away] = [join(dir, 'config.json'), join(dir, 'away.json')];
  await rename(config, away);
  const waiting = collect(engine.generate(request()));
  await until(() => said.length === 2);
  await rename(away, config);
  expect((await waiting).ids).toEqual(ids);
  expect(said[1]).toMatch(/died \(it could not load: config\.json: .*\); 0 requests end with it; it starts again in/);
});

test('a bundle that stays gone ends it after four deaths, and says why', async () => {
  const { engine, said } = await start();
  await readToEnd(engine.generate(deadly('exit', 1)));
  await rm(join(dir, 'config.json'));
  await expect(collect(engine.generate(request()))).rejects.toMatchObject({ code: 'backend_unavailable' });
  await engine.closed;
  expect(said).toHaveLength(4);
  expect(said.at(-1)).toMatch(/died \(it could not load: config\.json: .*the engine stops$/);
});
