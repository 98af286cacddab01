/**
 * What it costs to mix experts at the edge, when their pools are far away: time for a token of a
 * streamed answer, at round trips of 0, 2, 10 and 40 ms between the edge and either pool. Against
 * one backend that mixes both experts itself, as far away. With experts that wait for each token,
 * and with experts that run up to eight positions ahead. First over scripted experts that take 5 ms
 * a step and agree on three tokens of four, so that nothing but the distance counts; then with the
 * demo's bundle.
 *
 * Written down before measuring: where the experts wait, a token takes what it takes on a backend,
 * the round trip, and 2 to 3 ms for two sockets and the gate: about 50 ms at 40. A backend does not
 * feel the distance after its first token. Running ahead, a round trip is paid only for a wrong
 * guess, which is one of four, so at 40 ms a token should take about a third of what it takes
 * without. At 0 ms there is nothing to win, and guesses that are wrong cost runs: at most 1.3 times
 * as much.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Script } from '#gpu-backend/engine/scripted-experts.ts';
import { babble, startScriptedEngine } from '#gpu-backend/engine/testing/scripted-engine.ts';
import { type Backend, serveEngine, startBackend } from '#gpu-backend/server/start-backend.ts';
import { DRAW_SECRET, receiptKeys, SECRET } from '#gpu-backend/server/testing/backend-client.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import { helpfulnessSecret } from '#shared/protocol/pool-secret.ts';
import { adminClient } from '#workers/control/admin-client.ts';
import { sha256 } from '#workers/local/seed-demo-tenants.ts';
import { type Edge, startEdge } from '#workers/local/start-edge.ts';
import { createReceiptKey } from '#workers/testing/receipt-key.ts';
import { startDelayingProxy } from './edge-mixing/delaying-proxy.ts';
import { alternate, medianRatio, printMeasured } from './harness/measure.ts';

const ROUND_TRIPS_MS = [0, 2, 10, 40];
const AHEAD = 8;
const MOST_TOKENS = 48;
const STEP_MS = 5;
const OPERATOR_KEY = 'pk-demo-operator';
const KEY = 'pk-bench';

type Keys = Awaited<ReturnType<typeof receiptKeys>>;
type Serves = 'all' | 'safety' | 'helpfulness';
type Experts = {
  name: string;
  model: string;
  start: (serves: Serves, keys: Keys) => Promise<Backend>;
};

export async function benchEdgeMixing({
  rounds,
  bundle,
}: {
  rounds: number;
  bundle: string;
}): Promise<Record<string, number>> {
  // The helpfulness pool has a secret of its own, and neither draws nor signs.
  const poolSecret = await helpfulnessSecret(directiveKey(SECRET));
  const settings = (serves: Serves, { receiptPrivateJwk }: Keys) => ({
    port: 0,
    ...(serves === 'helpfulness'
      ? { directiveSecret: poolSecret, drawSecret: null, receiptPrivateJwk: null }
      : { directiveSecret: SECRET, drawSecret: DRAW_SECRET, receiptPrivateJwk }),
    backendId: serves,
    graceMs: 0,
    serves,
  });
  const scripted: Experts = {
    name: `experts of ${STEP_MS} ms a step`,
    model: 'scripted',
    start: async (serves, keys) => {
      const engine = await startScriptedEngine({ script: agreeing, stepMs: STEP_MS, contextLength: 512 });
      const config = { ...settings(serves, keys), host: '127.0.0.1', bodyLimitBytes: 100_000, hostNames: null };
      const encode = (messages: readonly { content: string }[]) => ({
        promptIds: [...Buffer.from(messages.map(({ content }) => content).join('\n'))],
        rowPrompts: {},
      });
      const bytesOf = (id: number) => (id === 0 ? undefined : Uint8Array.of(id));
      return serveEngine(engine, encode, config, { log: () => {}, vocabulary: { eos: [0], banned: [], bytesOf } });
    },
  };
  const demo: Experts = {
    name: 'the demo',
    model: 'plimsoll-demo',
    start: (serves, keys) =>
      startBackend({ ...settings(serves, keys), bundle, threads: 1, context: 512 }, { log: () => {} }),
  };
  return { ...(await measure(scripted, { rounds })), ...(await measure(demo, { rounds })) };
}

/** Both experts say the same at three positions of four. */
const agreeing: Script = (source, ids) => {
  const isOwn = (ids.at(-1) ?? 0) % 4 === 0;
  return babble(isOwn ? source : 'safety', ids);
};

async function measure(experts: Experts, { rounds }: { rounds: number }): Promise<Record<string, number>> {
  const { name, model, start } = experts;
  const keys = await receiptKeys();
  const edgeKey = await createReceiptKey('edge-key');
  const dataDir = await mkdtemp(path.join(tmpdir(), 'plimsoll-bench-mixing-'));
  const roles = ['all', 'safety', 'helpfulness'] as const;
  const backends = await Promise.all(roles.map((serves) => start(serves, keys)));
  const proxies = await Promise.all(backends.map(({ url }) => startDelayingProxy(url)));
  const [whole, ...apart] = proxies.map(({ url }) => url);
  const open = async (folder: string, urls: readonly string[], ahead: number): Promise<Edge> => {
    const edge = await startEdge({
      port: 0,
      dataDir: path.join(dataDir, folder),
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
      const variant = (variantName: string, edge: Edge, mode: string) => ({
        name: variantName,
        run: () => msPerToken(edge, { model, mode, seed: seed++ }),
      });
      const [alone, waited, ran] = await alternate(
        [
          variant('one backend mixes', backend, 'logits'),
          variant('the edge mixes', waits, 'edge'),
          variant(`the edge mixes, experts run ${AHEAD} ahead`, ahead, 'edge'),
        ],
        { rounds },
      );
      console.log(`\n${name}: a token, at a round trip of ${roundTripMs} ms`);
      printMeasured([alone, waited, ran], 'ms');
      ratios[`${name}, ${roundTripMs} ms: mixed at the edge / by a backend`] = medianRatio(waited, alone);
      ratios[`${name}, ${roundTripMs} ms: experts run ahead / wait`] = medianRatio(ran, waited);
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
async function msPerToken(
  edge: Edge,
  { model, mode, seed }: { model: string; mode: string; seed: number },
): Promise<number> {
  const response = await fetch(`${edge.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model,
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
