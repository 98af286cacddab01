/** A backend with a real engine whose thread dies: what clients, edge and operator see. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Frame } from '#shared/protocol/generate.ts';
import { until } from '../engine/testing/engine-contract.ts';
import { type Death, diesBy } from '../engine/testing/mortal-thread.ts';
import { startWorkerEngine } from '../engine/worker-engine.ts';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { writeBundle } from '../model/write-bundle.ts';
import { allFrames, call, generateRequest } from './testing/backend-client.ts';
import { errorOf, scriptedBackends } from './testing/scripted-backends.ts';

const { serve } = scriptedBackends();

async function start({ graceMs = 0 } = {}) {
  const root = await mkdtemp(join(tmpdir(), 'dying-engine-'));
  onTestFinished(() => rm(root, { recursive: true }));
  const dir = join(root, 'tiny');
  await writeBundle(dir, tinyBundle());
  const said: string[] = [];
  const engine = await startWorkerEngine({
    dir,
    threads: 1,
    warn: (message) => said.push(message),
    thread: { file: new URL('../engine/testing/mortal-thread.ts', import.meta.url) },
  });
  const { backend, url } = await serve({ engine, graceMs });
  const ask = (body = {}) => call(url, generateRequest({ model: 'tiny', max_tokens: 20, ...body }));
  const kill = (how: Death, afterTokens: number) =>
    call(url, generateRequest({ model: 'tiny', max_tokens: 20 }), {
      edit: (directive) => ({ ...directive, tenant: diesBy(how, { afterTokens }) }),
    });
  const health = async () => {
    const answer = await fetch(`${url}/healthz`);
    return { http: answer.status, ...((await answer.json()) as object) };
  };
  return { engine, backend, url, said, ask, kill, health };
}

/** The tokens, without their MACs, which are for one directive. */
const drawn = (frames: readonly Frame[]) =>
  frames.filter((frame) => frame.type === 'token').map(({ mark: _, ...token }) => token);

test('the answer ends with an error, health says loading, requests wait, metrics count it, and all is well again', async () => {
  const { engine, url, said, ask, kill, health } = await start();
  const before = await allFrames(await ask());
  const frames = await allFrames(await kill('throw', 4));
  expect(frames.map(({ type }) => type)).toContain('token');
  expect(frames.at(-1)).toMatchObject({ type: 'error', code: 'backend_unavailable' });
  expect(await health()).toMatchObject({ http: 503, status: 'loading', engine: 'restarting', running: 0 });
  expect((await fetch(`${url}/livez`)).status).toBe(200);
  const answer = await ask();
  expect(engine.stats().waiting + engine.stats().running).toBe(1);
  const after = await allFrames(answer);
  expect(drawn(after)).toEqual(drawn(before));
  expect(await health()).toMatchObject({ http: 200, status: 'ok', engine: 'loaded' });
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toMatch(/^plimsoll:engine_restarts_total\{[^}]*\} 1$/m);
  expect(metrics).toMatch(/^plimsoll:request_failure_total\{code="backend_unavailable",[^}]*\} 1$/m);
  expect(said).toHaveLength(1);
});

test('before the first frame, the same failure is 503 with Retry-After', async () => {
  const { kill } = await start();
  const response = await kill('exit', 0);
  expect(response.headers.get('retry-after')).toBe('1');
  expect(await errorOf(response)).toMatchObject({ status: 503, code: 'backend_unavailable' });
});

test('told to stop while its engine restarts, it still answers what waits, and takes nothing new', async () => {
  const { engine, backend, said, ask, kill } = await start({ graceMs: 600_000 });
  await allFrames(await kill('exit', 1));
  const waiting = ask();
  await until(() => engine.stats().waiting === 1);
  const closing = backend.close();
  expect(engine.state).toBe('restarting');
  expect(await errorOf(await ask())).toMatchObject({ status: 503, code: 'backend_unavailable' });
  expect((await allFrames(await waiting)).at(-1), said.join('\n')).toMatchObject({ type: 'end' });
  await closing;
});
