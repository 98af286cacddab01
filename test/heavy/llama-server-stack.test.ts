/**
 * The whole stack on a real llama.cpp: workerd, a gate node, and two of llama.cpp's own servers
 * that hold the demo's experts, one of which dies. Where the server cannot be had, all is
 * skipped.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { exportGguf, type GgufExport } from '#gpu-backend/export/export-gguf.ts';
import { writeRemoteBundle } from '#gpu-backend/import/write-remote-bundle.ts';
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { type Backend, startBackend } from '#gpu-backend/server/start-backend.ts';
import { DRAW_SECRET, receiptKeys, SECRET } from '#gpu-backend/server/testing/backend-client.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { seedDemoTenants, sha256 } from '#workers/local/seed-demo-tenants.ts';
import { type Edge, startEdge } from '#workers/local/start-edge.ts';
import { installLlamaServer, LlamaServer } from '../llama-server.ts';
import { client, post } from '../running-stack.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const DEMO = path.join(ROOT, 'models/demo');
const MODEL = 'plimsoll-demo';
const OPERATOR_KEY = 'pk-demo-operator';
const TOP_K = 20;

const missing = await installLlamaServer();
if (missing !== undefined) console.warn(`SKIPPED, llama.cpp's server is not here: ${missing}`);

let dir: string;
let files: GgufExport;
let keys: Awaited<ReturnType<typeof receiptKeys>>;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'llama-server-stack-'));
  keys = await receiptKeys();
  if (missing !== undefined) return;
  files = await exportGguf({ bundle: DEMO, out: path.join(dir, 'gguf'), weights: 'f32' });
  const expert = { adapter: true };
  await writeRemoteBundle({
    ...{ source: DEMO, out: path.join(dir, 'remote'), id: MODEL, topK: TOP_K, licence: 'Apache-2.0' },
    experts: { safety: expert, helpfulness: expert },
  });
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

/** @param adapter whose adapter it applies; null: none */
async function serve(adapter: ExpertRole | null): Promise<LlamaServer> {
  const lora = adapter === null ? [] : [files.adapters[adapter]!];
  const server = await LlamaServer.start({ model: files.base, lora, exact: true });
  open.push(server);
  return server;
}

let written = 0;
async function enginesFile(safety: LlamaServer, helpfulness: LlamaServer): Promise<string> {
  const file = path.join(dir, `engines-${written++}.json`);
  const on = ({ url }: LlamaServer) => ({ engine: 'llamacpp', urls: [url] });
  await writeFile(file, JSON.stringify({ safety: on(safety), helpfulness: on(helpfulness) }));
  return file;
}

describe.skipIf(missing !== undefined)('plimsoll model check', () => {
  async function check(engines: string): Promise<{ code: number; said: string }> {
    const args = [
      'scripts/launch.mjs',
      'cli/main.ts',
      'model',
      'check',
      path.join(dir, 'remote'),
      '--engines',
      engines,
    ];
    return promisify(execFile)(process.execPath, args, { cwd: ROOT }).then(
      ({ stdout }) => ({ code: 0, said: stdout }),
      // What execFile rejects with has what the command wrote.
      ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({ code, said: stdout + stderr }),
    );
  }

  test('finds both servers fit: tokenizer, rows, and experts that differ', async () => {
    const { code, said } = await check(await enginesFile(await serve('safety'), await serve('helpfulness')));
    expect(said).toMatch(/engine {6}safety at http:\S+: after \d+ tokens says "/);
    expect(said).toMatch(/engine {6}helpfulness at http/);
    expect(said).not.toMatch(/problem/);
    expect(code).toBe(0);
  });

  test.each(['safety', 'helpfulness'] as const)(
    'finds that the %s server was started without its adapter',
    async (role) => {
      const servers = {
        safety: await serve('safety'),
        helpfulness: await serve('helpfulness'),
        [role]: await serve(null),
      };
      const { code, said } = await check(await enginesFile(servers.safety, servers.helpfulness));
      expect(said.match(/^problem.*/gm)).toEqual([
        `problem     ${role} at ${servers[role].url}: it applies no adapter, and the bundle says that the ${role} expert is one`,
      ]);
      expect(code).not.toBe(0);
    },
  );
});

describe.skipIf(missing !== undefined)('edge, gate node and two servers of llama.cpp', () => {
  let edge: Edge;
  let backend: Backend;
  let servers: Record<ExpertRole, LlamaServer>;
  const log: string[] = [];

  beforeEach(async () => {
    servers = { safety: await serve('safety'), helpfulness: await serve('helpfulness') };
    backend = await startBackend(
      {
        ...{ bundle: path.join(dir, 'remote'), port: 0, threads: 1, context: 256 },
        engines: await enginesFile(servers.safety, servers.helpfulness),
        ...{ directiveSecret: SECRET, drawSecret: DRAW_SECRET, receiptPrivateJwk: keys.receiptPrivateJwk },
      },
      { log: (line) => log.push(line) },
    );
    open.push(backend);
    edge = await startEdge({
      ...{ port: 0, dataDir: await mkdtemp(path.join(dir, 'edge-')), backends: [backend.url] },
      ...{ directiveSecret: SECRET, receiptJwks: keys.jwks, operatorKeySha256: sha256(OPERATOR_KEY) },
      log: () => {},
    });
    open.push({ close: () => edge.dispose() });
    await seedDemoTenants(edge.url, OPERATOR_KEY);
  });

  const QUESTION = {
    model: MODEL,
    messages: [{ role: 'user' as const, content: 'How do I clean the kitchen floor?' }],
  };
  const receiptOf = (part: unknown) => {
    // Our extension of OpenAI's answer, which the client does not know.
    const { plimsoll } = part as { plimsoll: { receipt: string } };
    return verifyReceipt(plimsoll.receipt, keys.jwks);
  };

  test('a whole answer within its budget, the same answer as a stream, and receipts that verify', async () => {
    const request = { ...QUESTION, max_tokens: 40, seed: 7 };
    const whole = await client(edge.url).chat.completions.create(request);
    const { content } = whole.choices[0]!.message;
    expect(content).toMatch(/\w+ \w+/);
    const receipt = await receiptOf(whole);
    expect(receipt).toMatchObject({ model: MODEL, top_k: TOP_K, tenant: 'demo-balanced' });
    expect(receipt.spent).toBeLessThanOrEqual(20);
    expect(receipt.weights.min).toBeLessThan(1);

    let text = '';
    let last: unknown;
    for await (const chunk of await client(edge.url).chat.completions.create({ ...request, stream: true })) {
      text += chunk.choices[0]?.delta.content ?? '';
      last = chunk;
    }
    expect(text).toBe(content);
    expect((await receiptOf(last)).answer_digest).toBe(receipt.answer_digest);
  });

  /** Reads a stream to its end, and kills a server after its first token. */
  async function killed(role: ExpertRole) {
    const weights: number[] = [];
    let last: { error?: { code: string; message: string }; choices?: { finish_reason: string | null }[] } = {};
    const request = { ...QUESTION, max_tokens: 200, stream: true, plimsoll: { trace: 'tokens' }, seed: 3 };
    const answer = await post(edge.url, request, { key: 'pk-demo-open' });
    expect(answer.status).toBe(200);
    let rest = '';
    for await (const piece of answer.body!.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + piece).split('\n\n');
      rest = lines.pop()!;
      for (const line of lines) {
        // Comments keep the connection alive.
        if (line.startsWith(':') || line.includes('[DONE]')) continue;
        last = JSON.parse(line.replace(/^(event: error\n)?data: /, ''));
        const { tokens = [] } = (last as { plimsoll?: { tokens?: { weight: number }[] } }).plimsoll ?? {};
        weights.push(...tokens.map(({ weight }) => weight));
        if (weights.length > 0) await servers[role].close();
      }
    }
    return { weights, last };
  }

  test('when the helpfulness expert’s server dies in mid-answer, the safety expert ends it alone', async () => {
    const { weights, last } = await killed('helpfulness');
    expect(weights[0]).toBeLessThan(1);
    expect(weights.at(-1)).toBe(1);
    expect(last.choices?.[0]?.finish_reason ?? 'stop').toMatch(/stop|length/);
    const receipt = await receiptOf(last);
    expect(receipt.weights.max).toBe(1);
    expect(log.join('\n')).toContain(servers.helpfulness.url);
  });

  test('when the safety expert’s server dies in mid-answer, the answer ends as an error', async () => {
    const { last } = await killed('safety');
    expect(last.error?.code).toBe('expert_failed');
    expect(JSON.stringify(last)).not.toMatch(/llama|127\.0\.0\.1/);
    expect(log.join('\n')).toContain(servers.safety.url);
    const next = await post(edge.url, { ...QUESTION, max_tokens: 4 });
    // The status goes out before the end of a long wait is known, so the body counts.
    const told = await next.text();
    expect(JSON.parse(told)).toMatchObject({ error: { code: expect.any(String) } });
    expect(told).not.toMatch(/llama|127\.0\.0\.1|"choices"/);
  });
});

/** A prompt of 124 tokens: its last one alone says what its keys and values were made of. */
const prompt = (seed: number) => [1, 3, ...Array.from({ length: 120 }, (_, i) => 300 + ((i * 37 + seed) % 900)), 5, 4];
const [P, Q] = [prompt(0), prompt(500)];

/** What one server with both adapters says, and how many of the prompt's tokens it had cached. */
async function asked({ url }: LlamaServer, ids: readonly number[], lora: object[], cache_prompt = true) {
  const body = {
    prompt: ids,
    n_predict: 1,
    temperature: 0,
    n_probs: 40,
    post_sampling_probs: false,
    cache_prompt,
    lora,
  };
  const answer = await fetch(`${url}/completion`, { method: 'POST', body: JSON.stringify(body) });
  // llama.cpp's own server, which the tests of the driver read with a schema.
  const { completion_probabilities: told, timings } = (await answer.json()) as {
    completion_probabilities: { top_logprobs: { id: number; logprob: number }[] }[];
    timings: { cache_n: number };
  };
  return { row: new Map(told[0]!.top_logprobs.map(({ id, logprob }) => [id, logprob])), cached: timings.cache_n };
}

const gap = (a: ReadonlyMap<number, number>, b: ReadonlyMap<number, number>) =>
  Math.max(...[...a].map(([id, lp]) => Math.abs(lp - (b.get(id) ?? lp))));

/**
 * llama.cpp#26207: keys and values that were cached under one adapter are used under another. In
 * the build that is pinned here, a request that names another adapter than the one before it in its
 * slot clears the slot. Two ways are left open, and this says which, so that a build which closes
 * them is noticed. Experts have a server each, whatever comes of it.
 */
describe.skipIf(missing !== undefined)('one server for two adapters', () => {
  const [A, B] = [0, 1].map((id) => [{ id, scale: 1 }]) as [object[], object[]];
  const both = async (cacheRam: number) => {
    const lora = [files.adapters.safety!, files.adapters.helpfulness!];
    const server = await LlamaServer.start({
      model: files.base,
      lora,
      unapplied: true,
      parallel: 1,
      exact: true,
      cacheRam,
    });
    open.push(server);
    return server;
  };

  test('an adapter that is named right after another one reads its own keys and values', async () => {
    const server = await both(0);
    const cold = await asked(server, P, B, false);
    await asked(server, P, A);
    const warm = await asked(server, P, B);
    expect(warm.cached).toBe(0);
    expect(gap(warm.row, cold.row)).toBeLessThan(1e-3);
  });

  test('a prompt that came back from the cache in memory may be the other adapter’s', async () => {
    const server = await both(256);
    const cold = await asked(server, P, B, false);
    await asked(server, P, A);
    await asked(server, Q, B);
    const warm = await asked(server, P, B);
    expect(warm.cached).toBe(P.length - 1);
    expect(gap(warm.row, cold.row)).toBeGreaterThan(0.05);
  });

  test('without an adapter, what an adapter has cached is read', async () => {
    const server = await both(0);
    const cold = await asked(server, P, [], false);
    await asked(server, P, A);
    const warm = await asked(server, P, []);
    expect(warm.cached).toBe(P.length - 1);
    expect(gap(warm.row, cold.row)).toBeGreaterThan(0.05);
  });
});
