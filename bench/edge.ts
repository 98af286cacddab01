/**
 * What the edge adds to a request, in one run and in random order: against a bare workerd proxy to
 * the same backend, against one that reads and writes each piece, against two other gateways, with
 * limits on and off, and where a decision is in the cache and where it is not. One request at a
 * time, everything warm.
 *
 * The backend is the real server on a scripted engine, and the classifier is the real one. The
 * other gateways do not speak to such a backend, so they have an OpenAI-compatible server behind
 * them that does no work at all. What a gateway adds is its p50 less that of its own upstream
 * called directly, which flatters neither.
 *
 * Written down before measuring. The edge's p50 is 1.1 to 1.3 times the bare proxy's, streamed and
 * whole (the aim is 1.15). It adds 0.3 to 0.8 of what Portkey adds, because both are JavaScript
 * that reads and writes each event, and 0.05 to 0.2 of what LiteLLM adds (the aim is 0.3 for both).
 * Limits, budgets and usage cost 1.1 to 1.25 (1.2). A decision that is not in the cache costs 0.2
 * to 0.5 ms more at 50 words.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Miniflare } from 'miniflare';
import { call, generateRequest, SECRET } from '#gpu-backend/server/testing/backend-client.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { adminClient } from '#workers/control/admin-client.ts';
import { startEdge } from '#workers/local/start-edge.ts';
import { MODEL, startGateways } from './edge/gateways.ts';
import { startOpenAiUpstream } from './edge/openai-upstream.ts';
import { alternate, type Measured, median, medianRatio, printMeasured } from './harness/measure.ts';
import { startScriptedBackend } from './harness/scripted-backend.ts';

const OPERATOR_KEY = 'bench-operator';
const TOKENS = 32;
const REQUESTS_A_ROUND = 25;
/** None of them is ever in the way. */
const MANY = 1_000_000_000;
const LIMITS = {
  requests_per_minute: MANY,
  tokens_per_minute: MANY,
  concurrent_streams: MANY,
  tokens_per_day: MANY,
  tokens_per_month: MANY,
};
const WITHOUT_ACCOUNTS = ['TENANT_ACCOUNT', 'USAGE_QUEUE', 'USAGE_DB'];
/** Fifty words, so that reading them is not nothing. */
const PROMPT = 'Please tell me how a loaf of bread is baked in an oven that is '.repeat(4).trim();

/**
 * `pass` hands the stream on as it is. `copy` reads and writes each piece, as whoever checks it
 * must.
 */
const BARE_PROXY = (upstream: string, way: 'pass' | 'copy') => `
const copied = (body) => {
  const reader = body.getReader();
  return new ReadableStream({
    async pull(controller) {
      const { value, done } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
  });
};
export default {
  async fetch(request) {
    const response = await fetch(new Request(${JSON.stringify(upstream)} + new URL(request.url).pathname, request));
    return ${way === 'pass' ? 'response' : 'new Response(copied(response.body), response)'};
  },
};`;

export async function benchEdge({ rounds }: { rounds: number }): Promise<Record<string, number>> {
  const closers: (() => unknown)[] = [];
  try {
    const { backend, jwks } = await startScriptedBackend({ contextLength: 1024 });
    closers.push(() => backend.close());
    const dataDir = await mkdtemp(path.join(tmpdir(), 'plimsoll-bench-'));
    closers.push(() => rm(dataDir, { recursive: true, force: true }));

    const proxyUrls: Record<'pass' | 'copy', string> = { pass: '', copy: '' };
    for (const way of ['pass', 'copy'] as const) {
      const proxy = new Miniflare({
        cf: false,
        telemetry: { enabled: false },
        modules: true,
        script: BARE_PROXY(backend.url, way),
        compatibilityDate: '2026-07-30',
        unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
      });
      closers.push(() => proxy.dispose());
      proxyUrls[way] = (await proxy.unsafeGetDirectURL()).origin;
    }

    const edgeWith = async (name: string, { limits = {}, without = [] as readonly string[] }) => {
      const edge = await startEdge({
        port: 0,
        dataDir: path.join(dataDir, name),
        backends: [backend.url],
        directiveSecret: SECRET,
        receiptJwks: jwks,
        operatorKeySha256: await sha256Hex(OPERATOR_KEY),
        without,
      });
      closers.push(() => edge.dispose());
      const put = await adminClient(edge.url, OPERATOR_KEY).tenants[':id'].$put({
        param: { id: 'bench' },
        json: {
          name: 'Bench',
          policy: { floor: 0, budget: null, limits },
          keys: [{ id: 'main', sha256: await sha256Hex('pk-bench') }],
        },
      });
      if (!put.ok) throw new Error(`the bench's tenant was not accepted: ${await put.text()}`);
      return edge.url;
    };
    const plain = await edgeWith('plain', { without: WITHOUT_ACCOUNTS });
    const limited = await edgeWith('limited', { limits: LIMITS });

    const openai = await startOpenAiUpstream(TOKENS);
    closers.push(openai.close);
    const gateways = await startGateways(openai.url);
    closers.push(...gateways.map(({ close }) => close));

    let prompts = 0;
    const direct = (url: string) => async () => {
      const messages = [{ role: 'user' as const, content: PROMPT }];
      await drain(await call(url, generateRequest({ messages, max_tokens: TOKENS, expert_logprobs: false })));
    };
    const edge = (url: string, stream: boolean, { fresh = false } = {}) => {
      return () => {
        const content = fresh ? `${PROMPT} ${prompts++}` : PROMPT;
        const messages = [{ role: 'user', content }];
        const body = { model: 'scripted', messages, max_tokens: TOKENS, seed: 1, stream };
        return chat(`${url}/v1/chat/completions`, body, { authorization: 'Bearer pk-bench' });
      };
    };
    const other = (url: string, stream: boolean, headers: Record<string, string> = {}) => {
      const body = { model: MODEL, messages: [{ role: 'user', content: PROMPT }], max_tokens: TOKENS, stream };
      return () => chat(url, body, { authorization: 'Bearer none', ...headers });
    };
    const kinds = [
      { kind: 'streamed', stream: true },
      { kind: 'whole', stream: false },
    ] as const;
    const variants: { name: string; run: () => Promise<void> }[] = [
      { name: 'backend directly', run: direct(backend.url) },
      { name: 'bare proxy', run: direct(proxyUrls.pass) },
      { name: 'proxy that reads and writes', run: direct(proxyUrls.copy) },
      { name: 'streamed, fresh prompt', run: edge(plain, true, { fresh: true }) },
      ...kinds.flatMap(({ kind, stream }) => [
        { name: `edge, ${kind}`, run: edge(plain, stream) },
        { name: `edge with limits, ${kind}`, run: edge(limited, stream) },
        { name: `OpenAI upstream directly, ${kind}`, run: other(`${openai.url}/chat/completions`, stream) },
        ...gateways
          .filter(({ streams }) => streams || !stream)
          .map(({ name, url, headers }) => ({ name: `${name}, ${kind}`, run: other(url, stream, headers) })),
      ]),
    ];
    const measured = await alternate(
      variants.map(({ name, run }) => ({ name, run: () => p50(run) })),
      { rounds },
    );
    console.log(`\np50 of a request for ${TOKENS} tokens (of ${REQUESTS_A_ROUND} a round, one at a time)`);
    printMeasured(measured, 'ms');
    return ratiosOf(measured, { kinds: kinds.map(({ kind }) => kind), gateways: gateways.map(({ name }) => name) });
  } finally {
    // The last first: a gateway before what is behind it.
    for (const close of closers.toReversed()) await close();
  }
}

/** The figures of one run. A gateway that could not be had has none. */
function ratiosOf(
  measured: readonly Measured[],
  { kinds, gateways }: { kinds: readonly string[]; gateways: readonly string[] },
): Record<string, number> {
  const of = (name: string) => {
    const found = measured.find((each) => each.name === name);
    if (found === undefined) throw new Error(`nothing was measured as '${name}'`);
    return found;
  };
  const added = (name: string, directly: string): Measured => {
    const values = of(name).values.map((value, round) => value - of(directly).values[round]!);
    return { name, values, median: median(values) };
  };
  const figures: Record<string, number> = {
    'a decision that is not in the cache, p50 added (ms)': added('streamed, fresh prompt', 'edge, streamed').median,
    'edge / bare proxy, decision not in the cache, streamed': medianRatio(
      of('streamed, fresh prompt'),
      of('bare proxy'),
    ),
  };
  for (const kind of kinds) {
    const byEdge = added(`edge, ${kind}`, 'backend directly');
    figures[`edge / bare proxy, ${kind}`] = medianRatio(of(`edge, ${kind}`), of('bare proxy'));
    figures[`edge / proxy that reads and writes, ${kind}`] = medianRatio(
      of(`edge, ${kind}`),
      of('proxy that reads and writes'),
    );
    figures[`limits, budgets and usage on / off, ${kind}`] = medianRatio(
      of(`edge with limits, ${kind}`),
      of(`edge, ${kind}`),
    );
    figures[`added by the edge, ${kind} (ms)`] = byEdge.median;
    for (const name of gateways) {
      if (!measured.some((each) => each.name === `${name}, ${kind}`)) continue;
      const byOther = added(`${name}, ${kind}`, `OpenAI upstream directly, ${kind}`);
      figures[`added by ${name}, ${kind} (ms)`] = byOther.median;
      figures[`added by the edge / by ${name}, ${kind}`] = medianRatio(byEdge, byOther);
    }
  }
  return figures;
}

/** The median of a round's requests, in milliseconds. */
async function p50(request: () => Promise<void>): Promise<number> {
  const latencies: number[] = [];
  for (let i = 0; i < REQUESTS_A_ROUND; i++) {
    const startedAt = performance.now();
    await request();
    latencies.push(performance.now() - startedAt);
  }
  return median(latencies);
}

async function chat(url: string, body: object, headers: Record<string, string>): Promise<void> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json', ...headers } };
  await drain(await fetch(url, { ...init, body: JSON.stringify(body) }));
}

async function drain(response: Response): Promise<void> {
  const text = await response.text();
  // Some gateways write `"error": null`.
  if (!response.ok || /"error":\s*[{"]/.test(text))
    throw new Error(`the answer failed (${response.status}): ${text.slice(0, 200)}`);
}
