/** A stack that serves two bundles, the demo and a tiny one, with backends of their own. */
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import { tinyBundle } from '../gpu-backend/model/fixtures/tiny-bundle.ts';
import { writeBundle } from '../gpu-backend/model/write-bundle.ts';
import { descendantsOf, stillRunning } from './process-tree.ts';
import { client, newDataDir, post, type RunningStack, spawnStack, startStack } from './running-stack.ts';

const DEMO = path.join(import.meta.dirname, '../models/demo');

let root: string;
let tiny: string;
let stack: RunningStack;
beforeAll(async () => {
  root = await newDataDir();
  tiny = path.join(root, 'tiny');
  await writeBundle(tiny, tinyBundle({ routers: true }));
  const env = { PLIMSOLL_BUNDLES: `${DEMO},${tiny}`, PLIMSOLL_IDLE_UNLOAD_MINUTES: '0.005' };
  stack = await startStack({ dataDir: path.join(root, 'state'), env });
});
afterAll(async () => {
  await stack?.stop();
  await rm(root, { recursive: true, force: true });
});

const question = (model: string, more: object = {}) => ({
  model,
  messages: [{ role: 'user' as const, content: 'Hi' }],
  seed: 5,
  max_tokens: 8,
  ...more,
});

async function ask(model: string) {
  const answer = await post(stack.url, question(model));
  const body = await answer.text();
  return { status: answer.status, body: JSON.parse(body) as { model: string } & ErrorBody };
}

const backendOf = (model: string) => stack.backends().find((backend) => backend.model === model)!;

async function engineOf(model: string): Promise<string> {
  const health = await fetch(`${backendOf(model).url}/healthz`);
  return ((await health.json()) as { engine: string }).engine;
}

test('it is ready once both can be asked, lists both, and suggests the last one', async () => {
  const { data } = await client(stack.url).models.list();
  expect(data).toMatchObject([
    { id: 'plimsoll-demo', plimsoll: { modes: ['logits', 'layers'], available: true } },
    { id: 'tiny', plimsoll: { context_length: 96, modes: ['logits', 'layers'], available: true } },
  ]);
  // The hints come after the ready line.
  await expect
    .poll(() => stack.log())
    .toMatch(/Models:\n +plimsoll-demo +\d+ tokens, mode logits or layers\n +tiny +96 tokens/);
  expect(stack.log()).toContain('"model":"tiny"');
  for (const model of ['plimsoll-demo', 'tiny']) {
    expect(await ask(model)).toMatchObject({ status: 200, body: { model } });
  }
});

test('a model that is not there is a 404 that names both', async () => {
  const { status, body } = await ask('gpt-9');
  expect(status).toBe(404);
  expect(body.error).toMatchObject({
    code: 'model_not_found',
    message: expect.stringContaining("'plimsoll-demo', 'tiny'"),
  });
});

test('a bundle that nobody asks gives its memory back, and the next requests wait until it is there again', async () => {
  const before = await ask('tiny');
  await expect.poll(() => engineOf('tiny')).toBe('idle');
  const answers = await Promise.all([ask('tiny'), ask('tiny'), ask('plimsoll-demo')]);
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  for (const { body } of answers.slice(0, 2)) expect(body).toMatchObject({ choices: Object(before.body).choices });
});

test('when a backend is killed, requests for its model get a 503, the other model goes on, and it comes back', async () => {
  const before = await ask('tiny');
  const { pid } = backendOf('tiny');
  process.kill(pid, 'SIGKILL');
  const down = await ask('tiny');
  expect([down.status, down.body.error.code]).toEqual([503, 'backend_unavailable']);
  expect((await ask('plimsoll-demo')).status).toBe(200);
  await expect.poll(async () => (await ask('tiny')).status, { interval: 250 }).toBe(200);
  expect(backendOf('tiny').pid).not.toBe(pid);
  expect((await ask('tiny')).body).toMatchObject({ choices: Object(before.body).choices });
});

test('it ends in order while one of its bundles is unloaded, and leaves nothing running', async () => {
  await expect.poll(() => engineOf('tiny')).toBe('idle');
  const processes = descendantsOf(stack.process.pid!);
  const stream = await client(stack.url).chat.completions.create({ ...question('plimsoll-demo'), stream: true });
  let finish: string | null = null;
  const reading = (async () => {
    for await (const { choices } of stream) finish = choices[0]?.finish_reason ?? finish;
  })();
  expect(await stack.stop()).toBe(0);
  await reading;
  expect(finish).toMatch(/stop|length/);
  expect(stillRunning(processes)).toEqual([]);
});

test.each<[string, () => Promise<string>, RegExp]>([
  ['has the same model id', async () => tiny, /two bundles have the model id "tiny": .*tiny and .*tiny/],
  [
    'cannot be loaded',
    async () => {
      const broken = path.join(root, 'broken');
      await mkdir(broken);
      await writeFile(path.join(broken, 'plimsoll.json'), '{"id": "broken"}');
      return broken;
    },
    /backend-2 did not start/,
  ],
])('if a second bundle that was named %s, nothing starts', async (_name, make, message) => {
  const dataDir = await newDataDir();
  const other = spawnStack(dataDir, { PLIMSOLL_BUNDLES: [tiny, await make()].join(',') });
  const [log, [code]] = await Promise.all([textOf(other.stderr!), once(other, 'close')]);
  await rm(dataDir, { recursive: true, force: true });
  expect(code).toBe(1);
  expect(log).toMatch(message);
});
