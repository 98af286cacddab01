/** A whole backend whose experts run on other engines: the demo's, behind vLLM's protocol. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Line } from '#shared/line/line.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { OnnxExperts } from '../engine/onnx-experts.ts';
import { writeRemoteBundle } from '../import/write-remote-bundle.ts';
import { openBundle } from '../model/load-bundle.ts';
import { type Backend, startBackend } from '../server/start-backend.ts';
import {
  allFrames,
  call,
  DRAW_SECRET,
  generateRequest,
  receiptKeys,
  SECRET,
} from '../server/testing/backend-client.ts';
import { endOf, textOf } from '../server/testing/scripted-backends.ts';
import { PROTOCOLS, serveEngine } from './testing/engine-servers.ts';

const DEMO = 'models/demo';
const TOP_K = 20;

let root: string;
let keys: Awaited<ReturnType<typeof receiptKeys>>;
let experts: OnnxExperts;
const ends: (() => Promise<void>)[] = [];
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'gate-node-'));
  keys = await receiptKeys();
  experts = await OnnxExperts.create(await openBundle(DEMO), { threads: 1 });
  const expert = { adapter: true };
  await writeRemoteBundle({
    ...{ source: DEMO, out: join(root, 'remote'), id: 'plimsoll-demo', topK: TOP_K, licence: 'Apache-2.0' },
    experts: { safety: expert, helpfulness: expert },
  });
});
afterAll(async () => {
  await Promise.all(ends.map((end) => end()));
  await experts.dispose();
  await rm(root, { recursive: true });
});

async function start(options: { bundle: string; engines?: string }): Promise<Backend> {
  const backend = await startBackend(
    {
      ...options,
      port: 0,
      threads: 1,
      context: 256,
      directiveSecret: SECRET,
      drawSecret: DRAW_SECRET,
      receiptPrivateJwk: keys.receiptPrivateJwk,
    },
    { log: () => {} },
  );
  ends.push(() => backend.close());
  return backend;
}

/** A gate node, and what ends each expert's server. */
async function gateNode(name: string) {
  const [safety, helpfulness] = [
    await serveEngine(experts, PROTOCOLS.vllm()),
    await serveEngine(experts, PROTOCOLS.vllm()),
  ];
  ends.push(safety.close, helpfulness.close);
  const engines = join(root, `${name}.json`);
  const on = (url: string, model: string) => ({ engine: 'vllm', urls: [url], model });
  await writeFile(
    engines,
    JSON.stringify({ safety: on(safety.url, 'safety'), helpfulness: on(helpfulness.url, 'helpfulness') }),
  );
  return { ...(await start({ bundle: join(root, 'remote'), engines })), safety, helpfulness };
}

const ask = async (url: string, line: Partial<Line>, changes = {}) =>
  allFrames(
    await call(
      url,
      generateRequest({
        model: 'plimsoll-demo',
        messages: [{ role: 'user', content: 'How do I clean the kitchen floor?' }],
        max_tokens: 16,
        ...changes,
      }),
      { line },
    ),
  );

test('the safety expert alone says what it says on this machine, and the receipt names k', async () => {
  const { url } = await gateNode('alone');
  const own = await start({ bundle: DEMO });
  const line = { floor: 1, budget: 2 };
  const frames = await ask(url, line, { temperature: 0 });
  expect(textOf(frames)).not.toBe('');
  expect(textOf(frames)).toBe(textOf(await ask(own.url, line, { temperature: 0 })));
  const receipt = await verifyReceipt(endOf(frames).receipt, keys.jwks);
  expect(receipt).toMatchObject({ top_k: TOP_K, spent: 0 });
});

test('two experts are mixed within the budget, and the same request gives the same answer', async () => {
  const { url } = await gateNode('mixed');
  const line = { floor: 0.2, budget: 3 };
  const frames = await ask(url, line);
  const { spent, top_k } = await verifyReceipt(endOf(frames).receipt, keys.jwks);
  expect(spent).toBeLessThanOrEqual(3);
  expect(top_k).toBe(TOP_K);
  expect(textOf(await ask(url, line))).toBe(textOf(frames));
});

test('without the helpfulness engine the safety expert answers alone; without its own, nothing is answered', async () => {
  const { url, safety, helpfulness } = await gateNode('dying');
  const line = { floor: 0.2, budget: 3 };
  await helpfulness.close();
  const frames = await ask(url, line);
  const { spent, weights } = await verifyReceipt(endOf(frames).receipt, keys.jwks);
  expect(spent).toBe(0);
  expect(weights.min).toBe(1);
  await safety.close();
  const refused = await ask(url, line);
  expect(refused.some(({ type }) => type === 'token')).toBe(false);
  expect(refused.at(-1)).toMatchObject({ type: 'error', code: 'expert_failed' });
  expect(JSON.stringify(refused)).not.toMatch(/vllm|127\.0\.0\.1/);
});

test('a bundle and its settings have to fit', async () => {
  await expect(start({ bundle: join(root, 'remote') })).rejects.toThrow(/PLIMSOLL_ENGINES: is not set/);
  await expect(start({ bundle: DEMO, engines: 'x.json' })).rejects.toThrow(/PLIMSOLL_ENGINES: is set, but/);
  await expect(start({ bundle: join(root, 'remote'), engines: join(root, 'none.json') })).rejects.toThrow(
    /none\.json: cannot be read/,
  );
  const both = join(root, 'both.json');
  const on = { engine: 'llamacpp', urls: ['http://127.0.0.1:1'] };
  await writeFile(both, JSON.stringify({ safety: on, helpfulness: on }));
  await expect(start({ bundle: join(root, 'remote'), engines: both })).rejects.toThrow(
    /helpfulness\.urls: http:\/\/127\.0\.0\.1:1 serves both experts/,
  );
  const nameless = join(root, 'nameless.json');
  const named = { engine: 'sglang', urls: ['http://127.0.0.1:1'], model: 'safety' };
  await writeFile(nameless, JSON.stringify({ safety: named, helpfulness: { ...named, model: null } }));
  await expect(start({ bundle: join(root, 'remote'), engines: nameless })).rejects.toThrow(
    /helpfulness\.model: is missing, wanted the adapter's name/,
  );
});
