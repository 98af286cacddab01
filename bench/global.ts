/**
 * When the first token arrives in ten cities: an edge in each of them, which classifies and routes
 * from what it has cached, against one central gateway that does the same work in Washington.
 *
 * MEASURED, on this machine: the time from a request to its first token, through the real edge with
 * the real classifier, to a backend over the scripted engine. COMPUTED: everything between cities,
 * from published averages of round trips (global/round-trips.json names the source). Averages have
 * no jitter, so a p99 here is of cities and service times, and a real one is larger. A real model's
 * time to its first token comes on top on both sides, and brings the ratios nearer to 1.
 *
 * With the edges there are pools in Washington, Frankfurt and Tokyo, and each edge chooses by its
 * own rule (latency-class.ts). The central gateway has its pool beside it.
 *
 * Written down before measuring, for 10 ms of service: p50 0.2 to 0.35 of the central gateway's on
 * an open connection and 0.1 to 0.2 on a new one; p99 0.55 to 0.65 and 0.2 to 0.25. An edge that
 * first has to ask about the tenant is slower than the central gateway (1.3 to 2.5), which is why
 * it remembers.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SECRET } from '#gpu-backend/server/testing/backend-client.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { seedDemoTenants } from '#workers/local/seed-demo-tenants.ts';
import { startEdge } from '#workers/local/start-edge.ts';
import { quantile } from './chaos/quantile.ts';
import { firstTokens, type Layout, NEW_CONNECTION, OPEN_CONNECTION, readRoundTrips } from './global/first-token.ts';
import { startScriptedBackend } from './harness/scripted-backend.ts';

const OPERATOR_KEY = 'bench-operator';
const CENTRAL = 'Washington DC';
const POOLS = [CENTRAL, 'Frankfurt', 'Tokyo'];
const SAMPLES_A_ROUND = 25;

export async function benchGlobal({ rounds }: { rounds: number }): Promise<Record<string, number>> {
  const table = readRoundTrips();
  const serviceMs = await measureService(rounds * SAMPLES_A_ROUND);
  const sorted = serviceMs.toSorted((a, b) => a - b);
  console.log(`\nmeasured here: ${sorted.length} requests until their first token, everything on one machine`);
  console.log(`  p50 ${quantile(sorted, 0.5).toFixed(2)} ms, p99 ${quantile(sorted, 0.99).toFixed(2)} ms`);
  console.log(`computed from published round trips: ${table.source}\n  ${table.url}`);
  const figures: Record<string, number> = {};
  for (const [connection, clientTrips] of [
    ['open connection', OPEN_CONNECTION],
    ['new connection', NEW_CONNECTION],
  ] as const) {
    const edges = { pools: POOLS, gateway: null, clientTrips };
    const layouts: Record<string, Layout> = {
      'edges that know the tenant': { ...edges, tenantsAt: null },
      'edges that ask for the tenant': { ...edges, tenantsAt: CENTRAL },
      'one gateway': { pools: [CENTRAL], gateway: CENTRAL, clientTrips, tenantsAt: null },
    };
    const times = Object.entries(layouts).map(([name, layout]) => ({
      name,
      all: firstTokens(table, layout, serviceMs),
    }));
    const central = times.at(-1)!;
    for (const { name, all } of times) {
      for (const [label, share] of [
        ['p50', 0.5],
        ['p99', 0.99],
      ] as const) {
        const about = `${name}, ${connection}, ${label}`;
        figures[`computed: ${about} (ms)`] = quantile(all, share);
        if (name === central.name) continue;
        figures[`computed: ${about} / one gateway`] = quantile(all, share) / quantile(central.all, share);
      }
    }
  }
  return figures;
}

/** Milliseconds from each request to its first text, one at a time, warm. */
async function measureService(samples: number): Promise<number[]> {
  const { backend, jwks } = await startScriptedBackend({ contextLength: 512 });
  const dataDir = await mkdtemp(path.join(tmpdir(), 'plimsoll-bench-'));
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
    const times: number[] = [];
    for (let i = -SAMPLES_A_ROUND; i < samples; i++) {
      // Each prompt is new: it is classified, as in a chat.
      const ms = await firstText(edge.url, `How long does bread number ${i} bake?`);
      // The first ones warm up.
      if (i >= 0) times.push(ms);
    }
    return times;
  } finally {
    await edge.dispose();
    await backend.close();
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function firstText(url: string, content: string): Promise<number> {
  const body = { model: 'scripted', messages: [{ role: 'user', content }], max_tokens: 8, seed: 1, stream: true };
  const startedAt = performance.now();
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer pk-demo-open' },
    body: JSON.stringify(body),
  });
  let text = '';
  let firstMs: number | null = null;
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    text += piece;
    if (firstMs === null && /"content":"[^"]/.test(text)) firstMs = performance.now() - startedAt;
  }
  if (firstMs === null || !text.endsWith('data: [DONE]\n\n')) {
    throw new Error(`the answer failed (${response.status}): ${text.slice(0, 200)}`);
  }
  return firstMs;
}
