/**
 * Gate nodes as a deployment runs them: processes of their own behind an edge, over engines that
 * speak vLLM's protocol and hold the demo's experts. An answer is the same whatever is killed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { writeRemoteBundle } from '#gpu-backend/import/write-remote-bundle.ts';
import { openBundle } from '#gpu-backend/model/load-bundle.ts';
import { type EngineServer, PROTOCOLS, serveEngine } from '#gpu-backend/remote/testing/engine-servers.ts';
import { DRAW_SECRET, receiptKeys, SECRET } from '#gpu-backend/server/testing/backend-client.ts';
import type { ChatCompletionChunk } from '#shared/api/chat-answer.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { adminClient } from '#workers/control/admin-client.ts';
import { sha256 } from '#workers/local/seed-demo-tenants.ts';
import { type Edge, startEdge } from '#workers/local/start-edge.ts';
import { createReceiptKey } from '#workers/testing/receipt-key.ts';

const DEMO = path.join(import.meta.dirname, '../models/demo');
const MAIN = path.join(import.meta.dirname, '../cli/main.ts');
const OPERATOR_KEY = 'pk-demo-operator';
const KEY = 'pk-gate';

type Node = { url: string; child: ChildProcess; log: string[] };

let root: string;
let experts: OnnxExperts;
let keys: Awaited<ReturnType<typeof receiptKeys>>;
let edge: Edge;
/** Both hold both experts. */
const engines: EngineServer[] = [];
const nodes = new Map<string, Node>();
/** What engines wait for before they answer their n-th question of a test, counted over all. */
let asked = 0;
let hold: { from: number; until: Promise<unknown> } | null = null;
const before = async () => {
  asked++;
  if (hold !== null && asked >= hold.from) await hold.until;
};

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'gate-nodes-'));
  keys = await receiptKeys();
  experts = await OnnxExperts.create(await openBundle(DEMO), { threads: 1 });
  const expert = { adapter: true };
  await writeRemoteBundle({
    ...{ source: DEMO, out: path.join(root, 'bundle'), id: 'plimsoll-demo', topK: 20, licence: 'Apache-2.0' },
    experts: { safety: expert, helpfulness: expert },
  });
  for (let i = 0; i < 2; i++) engines.push(await serveEngine(experts, PROTOCOLS.vllm(), { before }));
  const on = (model: string) => ({ engine: 'vllm', urls: engines.map(({ url }) => url), model, positions: 4 });
  await writeFile(
    path.join(root, 'engines.json'),
    JSON.stringify({ safety: on('safety'), helpfulness: on('helpfulness') }),
  );
  for (const id of ['node-0', 'node-1']) nodes.set(id, await startNode(id));
  const edgeKey = await createReceiptKey('edge-key');
  edge = await startEdge({
    ...{ port: 0, dataDir: path.join(root, 'edge'), backends: [...nodes.values()].map(({ url }) => url) },
    ...{ directiveSecret: SECRET, receiptJwks: keys.jwks, edgeReceiptJwk: edgeKey.privateJwk },
    ...{ operatorKeySha256: sha256(OPERATOR_KEY), log: () => {} },
  });
  const made = await adminClient(edge.url, OPERATOR_KEY).tenants[':id'].$put({
    param: { id: 'gate' },
    json: { name: 'gate', policy: { floor: 0.2, budget: 6 }, keys: [{ id: 'main', sha256: sha256(KEY) }] },
  });
  expect(made.ok).toBe(true);
});
afterAll(async () => {
  await edge.dispose();
  for (const { child } of nodes.values()) child.kill('SIGKILL');
  for (const { close } of engines) await close();
  await experts.dispose();
  await rm(root, { recursive: true });
});
beforeEach(() => {
  asked = 0;
  hold = null;
});

async function startNode(id: string): Promise<Node> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, 'backend'], {
    env: {
      PATH: process.env.PATH,
      PLIMSOLL_BUNDLE: path.join(root, 'bundle'),
      PLIMSOLL_ENGINES: path.join(root, 'engines.json'),
      PLIMSOLL_BACKEND_ID: id,
      PLIMSOLL_BACKEND_PORT: '0',
      PLIMSOLL_CONTEXT: '256',
      PLIMSOLL_DIRECTIVE_SECRET: SECRET,
      PLIMSOLL_DRAW_SECRET: DRAW_SECRET,
      PLIMSOLL_RECEIPT_PRIVATE_JWK: JSON.stringify(keys.receiptPrivateJwk),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const log: string[] = [];
  createInterface({ input: child.stderr! }).on('line', (line) => log.push(line));
  const ready = Promise.withResolvers<string>();
  createInterface({ input: child.stdout! }).on('line', (line) => {
    const [, url] = line.match(/^ready (\S+)$/) ?? [];
    if (url !== undefined) ready.resolve(url);
  });
  child.once('exit', () => ready.reject(new Error(`the gate node ended: ${log.join('\n')}`)));
  return { url: await ready.promise, child, log };
}

const BODY = {
  model: 'plimsoll-demo',
  messages: [{ role: 'user', content: 'How do I clean the kitchen floor?' }],
  ...{ max_tokens: 24, seed: 11, stream: true, plimsoll: { trace: 'tokens' } },
};

const ask = (signal: AbortSignal | null = null) =>
  fetch(`${edge.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify(BODY),
    signal,
  });

/** The tokens of an answer that came well to its end, its receipt, and all that the client got. */
async function read(answer: Response) {
  const text = await answer.text();
  const events = text.split('\n\n').filter((event) => event.startsWith('data: '));
  expect(events.at(-1)).toBe('data: [DONE]');
  // The edge's own answer.
  const chunks = events.slice(0, -1).map((event) => JSON.parse(event.slice('data: '.length)) as ChatCompletionChunk);
  const tokens = chunks.flatMap(({ plimsoll }) => (plimsoll?.tokens ?? []).map(({ id }) => id));
  return { tokens, text, receipt: await verifyReceipt(chunks.at(-1)!.plimsoll!.receipt!, keys.jwks) };
}

test('an engine that is killed in mid-answer: another one of the pool goes on from the ids', async () => {
  const counts = () => engines.map((engine) => engine.asked.length);
  const [before] = counts();
  const whole = await read(await ask());
  expect(whole.tokens.length).toBeGreaterThan(8);
  const questions = asked;
  // All of an answer's questions go to one of them.
  const [used, other] = counts()[0]! > before! ? engines : engines.toReversed();
  const spared = other!.asked.length;
  expect(used!.asked.length).toBeGreaterThanOrEqual(questions);
  asked = 0;
  const killed = Promise.withResolvers<void>();
  hold = { from: Math.floor(questions / 2), until: killed.promise };
  const answering = ask().then(read);
  await expect.poll(() => asked).toBeGreaterThanOrEqual(Math.floor(questions / 2));
  await used!.close();
  killed.resolve();
  const { tokens, text, receipt } = await answering;
  expect(tokens).toEqual(whole.tokens);
  expect([receipt.backend, receipt.parts, receipt.spent]).toEqual([whole.receipt.backend, [], whole.receipt.spent]);
  expect(other!.asked.length).toBeGreaterThan(spared);
  // The log names the engine, and the client hears nothing of it.
  expect(nodes.get(receipt.backend)!.log.join('\n')).toContain(`vllm at ${used!.url} failed`);
  expect(text).not.toMatch(/vllm|failed/);
  expect(text).not.toContain(used!.url);
});

test('a client that leaves takes its questions with it', async () => {
  const leaves = new AbortController();
  hold = { from: 4, until: new Promise(() => {}) };
  const answer = ask(leaves.signal).then((response) => response.text());
  await expect.poll(() => asked).toBeGreaterThanOrEqual(4);
  const before = engines.map(({ dropped }) => dropped);
  leaves.abort();
  await expect(answer).rejects.toThrow();
  await expect.poll(() => engines.map(({ dropped }) => dropped)).not.toEqual(before);
});

test('a gate node that is killed in mid-answer: the other one goes on from the ids', async () => {
  const whole = await read(await ask());
  const home = whole.receipt.backend;
  const questions = asked;
  asked = 0;
  const killed = Promise.withResolvers<void>();
  hold = { from: Math.floor(questions / 2), until: killed.promise };
  const answering = ask().then(read);
  await expect.poll(() => asked).toBeGreaterThanOrEqual(Math.floor(questions / 2));
  const { child } = nodes.get(home)!;
  child.kill('SIGKILL');
  await once(child, 'exit');
  killed.resolve();
  const { tokens, receipt } = await answering;
  expect(tokens).toEqual(whole.tokens);
  expect(receipt.spent).toBe(whole.receipt.spent);
  const [first, second] = receipt.parts;
  expect([first!.backend, receipt.backend]).toEqual([home, second!.backend]);
  expect(second!.backend).not.toBe(home);
  expect([first!.from, first!.to, second!.to]).toEqual([0, second!.from, tokens.length]);
});
