/** A whole backend whose weights somebody overwrites while it serves. */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { writeBundle } from '../model/write-bundle.ts';
import { startBackend } from './start-backend.ts';
import { call, DRAW_SECRET, generateRequest, receiptKeys, SECRET } from './testing/backend-client.ts';
import { errorOf } from './testing/scripted-backends.ts';

test('it stops its engine, says so, and takes no more requests, so that a supervisor starts it anew', async () => {
  const root = await mkdtemp(join(tmpdir(), 'changed-weights-'));
  onTestFinished(() => rm(root, { recursive: true }));
  const bundle = join(root, 'tiny');
  await writeBundle(bundle, tinyBundle(), { dtype: 'f32' });
  const { receiptPrivateJwk } = await receiptKeys();
  const logged: string[] = [];
  const secrets = { directiveSecret: SECRET, drawSecret: DRAW_SECRET, receiptPrivateJwk };
  const backend = await startBackend(
    { bundle, port: 0, threads: 1, ...secrets },
    { log: (message) => logged.push(message) },
  );
  const health = async () => {
    const answer = await fetch(`${backend.url}/healthz`);
    return { http: answer.status, ...((await answer.json()) as object) };
  };
  expect(await health()).toMatchObject({ http: 200, status: 'ok' });

  const file = await open(join(bundle, 'model.safetensors'), 'r+');
  const { size } = await file.stat();
  await file.write(Buffer.alloc(4), 0, 4, size - 4);
  await file.close();
  await backend.engineStopped;
  expect(await health()).toMatchObject({ http: 503, status: 'failed' });
  expect(await errorOf(await call(backend.url, generateRequest({ model: 'tiny' })))).toMatchObject({
    status: 503,
    code: 'backend_unavailable',
  });
  expect(logged).toContainEqual(
    expect.stringMatching(/model\.safetensors: found that somebody has written to it, .*; the engine stops/),
  );
  await backend.close();
});
