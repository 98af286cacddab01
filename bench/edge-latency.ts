/**
 * How much time the edge adds to a request. We compare the whole Worker (key, policy,
 * classification, directive, stream, receipt check) with a bare workerd proxy that only forwards,
 * and with calling the backend directly. The backend is the real server on a scripted engine. That
 * engine draws a token in microseconds, so nearly all the time is spent on the way there and back.
 *
 * Written down before measuring: 1.5 to 3 times the latency of the bare proxy, and a few
 * milliseconds more than the direct call.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Miniflare } from 'miniflare';
import { call, generateRequest, SECRET } from '#gpu-backend/server/testing/backend-client.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { seedDemoTenants } from '#workers/local/seed-demo-tenants.ts';
import { startEdge } from '#workers/local/start-edge.ts';
import { alternate, medianRatio, printMeasured } from './harness/measure.ts';
import { startScriptedBackend } from './harness/scripted-backend.ts';

const OPERATOR_KEY = 'bench-operator';
const TOKENS = 32;
const REQUESTS_A_ROUND = 25;

/** Only passes the request on and the answer back. */
const BARE_PROXY = (upstream: string) =>
  `export default { fetch: (request) => fetch(new Request(${JSON.stringify(upstream)} + new URL(request.url).pathname, request)) };`;

export async function benchEdgeLatency({ rounds }: { rounds: number }): Promise<Record<string, number>> {
  const { backend, jwks } = await startScriptedBackend({ contextLength: 512 });
  const dataDir = await mkdtemp(path.join(tmpdir(), 'plimsoll-bench-'));
  const proxy = new Miniflare({
    cf: false,
    telemetry: { enabled: false },
    modules: true,
    script: BARE_PROXY(backend.url),
    compatibilityDate: '2026-07-30',
    unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
  });
  const edge = await startEdge({
    port: 0,
    dataDir,
    backends: [backend.url],
    directiveSecret: SECRET,
    receiptJwks: jwks,
    operatorKeySha256: await sha256Hex(OPERATOR_KEY),
  });
  try {
    await seedDemoTenants(edge.url, OPERATOR_KEY);
    const proxyUrl = (await proxy.unsafeGetDirectURL()).origin;
    const body = generateRequest({ max_tokens: TOKENS });
    const raw = async (url: string) => drain(await call(url, body));
    const chat = async (stream: boolean) =>
      drain(
        await fetch(`${edge.url}/v1/chat/completions`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: 'Bearer pk-demo-open' },
          body: JSON.stringify({ model: body.model, messages: body.messages, max_tokens: TOKENS, seed: 1, stream }),
        }),
      );
    const perRequest = (request: () => Promise<void>) => async () => {
      const startedAt = performance.now();
      for (let i = 0; i < REQUESTS_A_ROUND; i++) await request();
      return (performance.now() - startedAt) / REQUESTS_A_ROUND;
    };
    const measured = await alternate(
      [
        { name: 'backend directly', run: perRequest(() => raw(backend.url)) },
        { name: 'bare workerd proxy', run: perRequest(() => raw(proxyUrl)) },
        { name: 'edge, whole answer', run: perRequest(() => chat(false)) },
        { name: 'edge, streamed', run: perRequest(() => chat(true)) },
      ],
      { rounds },
    );
    console.log(`\nlatency of a ${TOKENS}-token answer from a scripted engine (ms a request, one at a time)`);
    printMeasured(measured, 'ms');
    const [direct, bare, whole, streamed] = measured;
    return {
      'edge, whole answer / bare workerd proxy': medianRatio(whole, bare),
      'edge, streamed / bare workerd proxy': medianRatio(streamed, bare),
      'edge, whole answer / backend directly': medianRatio(whole, direct),
      'edge, streamed / backend directly': medianRatio(streamed, direct),
      'added by the edge over the backend directly, streamed (ms)': streamed.median - direct.median,
      'added by a bare proxy over the backend directly (ms)': bare.median - direct.median,
    };
  } finally {
    await Promise.all([edge.dispose(), proxy.dispose(), backend.close()]);
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function drain(response: Response): Promise<void> {
  const text = await response.text();
  if (!response.ok || text.includes('"error"'))
    throw new Error(`the answer failed (${response.status}): ${text.slice(0, 200)}`);
}
