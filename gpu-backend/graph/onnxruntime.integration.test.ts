/**
 * Tests that nothing reaches onnxruntime's makers. They look from outside, at a process whose
 * environment nobody has prepared.
 */
import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { writeBundle } from '../model/write-bundle.ts';
import { DRAW_SECRET, receiptKeys, SECRET } from '../server/testing/backend-client.ts';

const ROOT = path.join(import.meta.dirname, '../..');

let home: string;
let bundle: string;
beforeEach(async () => {
  home = mkdtempSync(path.join(tmpdir(), 'plimsoll-home-'));
  bundle = mkdtempSync(path.join(tmpdir(), 'plimsoll-bundle-'));
  await writeBundle(bundle, tinyBundle());
});
afterEach(() => {
  for (const dir of [home, bundle]) rmSync(dir, { recursive: true, force: true });
});

/** Runs a script in an empty home and returns the files it left there. */
function filesLeftBy(script: string): string[] {
  mkdirSync(path.join(home, 'cache'));
  const { status, stderr } = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', '-e', script], {
    cwd: ROOT,
    encoding: 'utf8',
    env: { PATH: process.env.PATH, HOME: home, XDG_CACHE_HOME: path.join(home, 'cache') },
  });
  // A backend says what it takes, and nothing else.
  expect({ status, stderr }).toEqual({
    status: 0,
    stderr: expect.stringMatching(/^(tiny: a context .*\ntiny: prefixes .*\ndrains: .*\n)?$/),
  });
  return readdirSync(home, { recursive: true, encoding: 'utf8' }).filter((name) => name !== 'cache');
}

test('a session in the main thread leaves nothing in the home folder', () => {
  const script = `
    import { GraphSession, float32 } from '#gpu-backend/graph/session.ts';
    import { Graph } from '#gpu-backend/graph/graph.ts';
    import { sigmoid } from '#gpu-backend/graph/ops.ts';
    const graph = new Graph();
    graph.output('y', sigmoid(graph.input('x', 'float', [1])));
    const session = await GraphSession.create(graph.toModel());
    await session.run({ x: float32([1], Float32Array.of(1)) });
  `;
  expect(filesLeftBy(script)).toEqual([]);
});

test('a backend, which runs its engine in a thread, leaves nothing in the home folder', async () => {
  const { receiptPrivateJwk } = await receiptKeys();
  const secrets = { directiveSecret: SECRET, drawSecret: DRAW_SECRET, receiptPrivateJwk };
  const options = { bundle, port: 0, log: 'text', ...secrets };
  const script = `
    import { startBackend } from '#gpu-backend/server/start-backend.ts';
    const backend = await startBackend(${JSON.stringify(options)});
    await backend.close();
  `;
  expect(filesLeftBy(script)).toEqual([]);
});

test('a thread whose process was not prepared cannot load onnxruntime, because inside the thread it is too late', () => {
  const script = `
    import { Worker } from 'node:worker_threads';
    const worker = new Worker(new URL('file://${path.join(import.meta.dirname, 'onnxruntime.ts')}'));
    const error = await new Promise((resolve) => worker.once('error', resolve));
    if (!/no-telemetry/.test(error.message)) throw error;
  `;
  expect(filesLeftBy(script)).toEqual([]);
});

test('only one file loads onnxruntime, and the others import it from there', () => {
  const sources = globSync('{bench,cli,gpu-backend,lab,policies,shared,test,training,workers}/**/*.ts', { cwd: ROOT });
  const loading = /(from|import|import\(|require\w*\()\s*['"]onnxruntime-node/;
  const found = sources.filter((file) => loading.test(readFileSync(path.join(ROOT, file), 'utf8')));
  expect(found).toEqual(['gpu-backend/graph/onnxruntime.ts']);
});
