/**
 * What it costs to mix experts at the edge, when their pools are far away: time for a token of a
 * streamed answer, at round trips of 0, 2, 10 and 40 ms between the edge and either pool. Against
 * one backend that mixes both experts itself, as far away. With experts that wait for each token,
 * and with experts that run up to eight positions ahead.
 *
 * Written down before measuring: where the experts wait, a token takes what it takes on a backend,
 * the round trip, and 2 to 3 ms for two sockets and the gate: about 45 ms at 40. A backend does not
 * feel the distance after its first token. Running ahead, a round trip is paid only for a wrong
 * guess. The demo's experts and their mixture should draw the same token by the same number about
 * three times in four, so at 40 ms a token should take about a third of what it takes without; at
 * 0 ms, where there is nothing to win, at most 1.3 times as much, because guesses that are wrong
 * cost runs.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startBackend } from '#gpu-backend/server/start-backend.ts';
import { DRAW_SECRET, receiptKeys, SECRET } from '#gpu-backend/server/testing/backend-client.ts';
import { adminClient } from '#workers/control/admin-client.ts';
import { sha256 } from '#workers/local/seed-demo-tenants.ts';
import { type Edge, startEdge } from '#workers/local/start-edge.ts';
import { createReceiptKey } from '#workers/testing/receipt-key.ts';
import { startDelayingProxy } from './edge-mixing/delaying-proxy.ts';
import { alternate, medianRatio, printMeasured } from './harness/measure.ts';

const ROUND_TRIPS_MS = [0, 2, 10, 40];
const AHEAD = 8;
const MOST_TOKENS = 48;
const OPERATOR_KEY = 'pk-demo-operator';
const KEY = 'pk-bench';

export async function benchEdgeMixing({
  rounds,
  bundle,
}: {
  rounds: number;
  bundle: string;
}): Promise<Record<string, number>> {
  const keys = await receiptKeys();
  const edgeKey = await createReceiptKey('edge-key');
  const dataDir = await mkdtemp(path.join(tmpdir(), 'plimsoll-bench-mixing-'));
  const backends = await Promise.all(
    (['all', 'safety', 'helpfulness'] as const).map((serves) =>
      startBackend(
        {
          bundle,
          port: 0,
          directiveSecret: SECRET,
          drawSecret: DRAW_SECRET,
          receiptPrivateJwk: keys.receiptPrivateJwk,
          backendId: serves,
          threads: 1,
          context: 512,
          graceMs: 0,
          serves,
        },
        { log: () => {} },
      ),
    ),
  );
  const proxies = await Promise.all(backends.map(({ url }) => startDelayingProxy(url)));
  const [whole, ...apart] = proxies.map(({ url }) => url);
  const open = async (name: string, urls: readonly string[], ahead: number): Promise<Edge> => {
    const edge = await startEdge({
      port: 0,
      dataDir: path.join(dataDir, name),
      backends: urls,
      directiveSecret: SECRET,
      receiptJwks: keys.jwks,
      edgeReceiptJwk: edgeKey.privateJwk,
      operatorKeySha256: sha256(OPERATOR_KEY),
      log: () => {},
      overrides: { EDGE_MIXING_AHEAD: String(ahead) },
    });
    const answer = await adminClient(edge.url, OPERATOR_KEY).tenants[':id'].$put({
      param: { id: 'bench' },
      json: {
        name: 'bench',
        policy: { floor: 0.3, budget: 20, modes: ['logits', 'edge'] },
        keys: [{ id: 'main', sha256: sha256(KEY) }],
      },
    });
    if (!answer.ok) throw new Error(`the tenant was not accepted: ${await answer.text()}`);
    return edge;
  };
  const waits = await open('waits', apart, 0);
  const ahead = await open('ahead', apart, AHEAD);
  const backend = await open('backend', [whole!], 0);
  const ratios: Record<string, number> = {};
  try {
    for (const roundTripMs of ROUND_TRIPS_MS) {
      for (const proxy of proxies) proxy.roundTripMs = roundTripMs;
      let seed = 0;
      const variant = (name: string, edge: Edge, mode: string) => ({
        name,
        run: () => msPerToken(edge, { mode, seed: seed++ }),
      });
      const [alone, waited, ran] = await alternate(
        [
          variant('one backend mixes', backend, 'logits'),
          variant('the edge mixes', waits, 'edge'),
          variant(`the edge mixes, experts run ${AHEAD} ahead`, ahead, 'edge'),
        ],
        { rounds },
      );
      console.log(`\na token, at a round trip of ${roundTripMs} ms`);
      printMeasured([alone, waited, ran], 'ms');
      ratios[`edge mixing at ${roundTripMs} ms, experts wait / one backend`] = medianRatio(waited, alone);
      ratios[`edge mixing at ${roundTripMs} ms, experts run ahead / wait`] = medianRatio(ran, waited);
    }
  } finally {
    await Promise.all([waits, ahead, backend].map((edge) => edge.dispose()));
    await Promise.all(proxies.map((proxy) => proxy.close()));
    await Promise.all(backends.map((one) => one.close()));
    await rm(dataDir, { recursive: true, force: true });
  }
  return ratios;
}

/** From the first token of a streamed answer to its last, by token. */
async function msPerToken(edge: Edge, { mode, seed }: { mode: string; seed: number }): Promise<number> {
  const response = await fetch(`${edge.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'plimsoll-demo',
      messages: [{ role: 'user', content: 'How do I keep a boat safe in a storm?' }],
      max_tokens: MOST_TOKENS,
      seed,
      stream: true,
      plimsoll: { mode, trace: 'tokens' },
    }),
  });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  const decoder = new TextDecoder();
  let text = '';
  let firstMs = 0;
  let lastMs = 0;
  let tokens = 0;
  for await (const chunk of response.body!) {
    text += decoder.decode(chunk, { stream: true });
    const seen = text.match(/"id":\d+,"text"/g)?.length ?? 0;
    if (seen === tokens) continue;
    if (tokens === 0) firstMs = performance.now();
    lastMs = performance.now();
    tokens = seen;
  }
  if (!text.includes('[DONE]')) throw new Error(`an answer broke off: ${text.slice(-300)}`);
  return (lastMs - firstMs) / Math.max(1, tokens - 1);
}
