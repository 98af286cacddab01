/**
 * Streams through a real edge, while backends in processes of their own are killed with SIGKILL at
 * random moments and started again, and a proxy in front of one of them resets connections, stalls,
 * cuts frames and forges MACs. Every stream is compared, token by token, with the answer that the
 * same request got before anything was damaged.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DRAW_SECRET, receiptKeys, SECRET } from '#gpu-backend/server/testing/backend-client.ts';
import { createRandom } from '#training/data/random.ts';
import { seedDemoTenants, sha256 } from '#workers/local/seed-demo-tenants.ts';
import { startEdge } from '#workers/local/start-edge.ts';
import { compareTokens } from './compare-tokens.ts';
import { type Damage, startDamagingProxy } from './damaging-proxy.ts';
import { KilledBackend } from './killed-backend.ts';
import { type ReadStream, readStream } from './read-stream.ts';

export type ChaosOptions = {
  streams: number;
  /** Different requests; each is sent several times. */
  requests: number;
  /** Streams open at once. */
  open: number;
  backends: number;
  seed: number;
  /** How long a run of a backend's engine takes. */
  stepMs?: number;
  /** Between two kills, and until a killed backend is started again: from this up to twice this. */
  killEveryMs?: number;
  restartMs?: number;
  onProgress?: (done: number) => void;
};

export type ChaosResult = {
  streams: number;
  tokens: number;
  kills: number;
  damages: Readonly<Record<Damage, number>>;
  /** Streams that several backends drew, and how many parts they have. */
  resumed: number;
  parts: number;
  lost: number;
  doubled: number;
  wrong: number;
  /** How often a client was told to come again before its stream began. */
  refusals: number;
  /** Streams that did not end well, and why. */
  faults: string[];
  /** The longest pause of each stream, in milliseconds: before any damage, and of resumed ones. */
  quietPausesMs: number[];
  pausesMs: number[];
};

const KEYS = ['pk-demo-strict', 'pk-demo-balanced', 'pk-demo-open'] as const;
const OPERATOR_KEY = 'pk-demo-operator';
const WORKER = fileURLToPath(new URL('../../workers/testing/worker/patient.ts', import.meta.url));
/** How many of its answers the proxy spoils. */
const SPOILED = 0.5;

export async function runChaos({
  streams,
  requests,
  open,
  backends: count,
  seed,
  stepMs = 8,
  killEveryMs = 150,
  restartMs = 200,
  onProgress = () => {},
}: ChaosOptions): Promise<ChaosResult> {
  const random = createRandom(`bench/chaos/${seed}`).next;
  const dataDir = await mkdtemp(path.join(tmpdir(), 'plimsoll-chaos-'));
  const { receiptPrivateJwk, jwks } = await receiptKeys();
  const secrets = { directiveSecret: SECRET, drawSecret: DRAW_SECRET, receiptPrivateJwk };
  const backends = Array.from(
    { length: count },
    (_, i) => new KilledBackend({ ...secrets, port: 0, backendId: `backend-${i}`, stepMs }),
  );
  const over = new AbortController();
  const cleanUp: (() => Promise<unknown>)[] = [() => rm(dataDir, { recursive: true, force: true })];
  try {
    cleanUp.push(() => Promise.all(backends.map((backend) => backend.kill())));
    await Promise.all(backends.map((backend) => backend.start()));
    const proxy = await startDamagingProxy(backends[0]!.url, { random });
    cleanUp.push(() => proxy.close());
    const edge = await startEdge({
      port: 0,
      dataDir,
      backends: [proxy.url, ...backends.slice(1).map(({ url }) => url)],
      directiveSecret: SECRET,
      receiptJwks: jwks,
      operatorKeySha256: sha256(OPERATOR_KEY),
      entry: WORKER,
      log: () => undefined,
    });
    cleanUp.push(() => edge.dispose());
    await seedDemoTenants(edge.url, OPERATOR_KEY);

    const asked = Array.from({ length: requests }, (_, i) => ({
      key: KEYS[i % KEYS.length]!,
      jwks,
      body: {
        model: 'scripted',
        messages: [{ role: 'user', content: `Question ${i}` }],
        seed: i,
        max_tokens: 20 + Math.floor(random() * 60),
        stop: ['⚓⚓', '##'],
      },
    }));
    const wanted = await inParallel(asked, open, (request) => readStream(edge.url, request));
    const refused = wanted.find(({ fault }) => fault !== null);
    if (refused) throw new Error(`chaos: before any damage, an answer had a fault: ${refused.fault}`);

    const killed = { times: 0 };
    const damages = proxy.spoil(SPOILED);
    const killing = killThem(backends, { random, over: over.signal, killEveryMs, restartMs, killed });
    killing.catch(() => undefined);
    let done = 0;
    const order = Array.from({ length: streams }, (_, i) => i % requests);
    const read = await inParallel(order, open, async (i) => {
      const answer = await readStream(edge.url, asked[i]!);
      onProgress(++done);
      return answer;
    });
    over.abort();
    await killing;
    return judge(read, { order, wanted, kills: killed.times, damages });
  } finally {
    over.abort();
    for (const step of cleanUp.reverse()) await step();
  }
}

/** Kills one after the other, and starts it again, until it is over. At least two are always up. */
async function killThem(
  backends: readonly KilledBackend[],
  {
    random,
    over,
    killEveryMs,
    restartMs,
    killed,
  }: {
    random: () => number;
    over: AbortSignal;
    killEveryMs: number;
    restartMs: number;
    killed: { times: number };
  },
): Promise<void> {
  const wait = (ms: number) => sleep(ms * (1 + random()), undefined, { signal: over }).catch(() => undefined);
  const restarts: Promise<void>[] = [];
  while (!over.aborted) {
    await wait(killEveryMs);
    const up = backends.filter(({ isUp }) => isUp);
    if (over.aborted || up.length <= 2) continue;
    const victim = up[Math.floor(random() * up.length)]!;
    await victim.kill();
    killed.times++;
    restarts.push(
      (async () => {
        await wait(restartMs);
        if (!over.aborted) await victim.start();
      })(),
    );
  }
  await Promise.all(restarts);
}

function judge(
  read: readonly ReadStream[],
  {
    order,
    wanted,
    ...damage
  }: { order: readonly number[]; wanted: readonly ReadStream[] } & Pick<ChaosResult, 'kills' | 'damages'>,
): ChaosResult {
  const result: ChaosResult = {
    ...damage,
    streams: read.length,
    tokens: 0,
    resumed: 0,
    parts: 0,
    lost: 0,
    doubled: 0,
    wrong: 0,
    refusals: 0,
    faults: [],
    quietPausesMs: wanted.map(({ pauseMs }) => pauseMs),
    pausesMs: [],
  };
  for (const [i, { ids, receipt, refusals, fault, pauseMs }] of read.entries()) {
    const { lost, doubled, wrong } = compareTokens(ids, wanted[order[i]!]!.ids);
    result.tokens += ids.length;
    result.lost += lost;
    result.doubled += doubled;
    result.wrong += wrong;
    result.refusals += refusals;
    if (fault !== null) result.faults.push(fault);
    const parts = receipt?.parts.length ?? 0;
    if (parts === 0) continue;
    result.resumed++;
    result.parts += parts;
    result.pausesMs.push(pauseMs);
  }
  return result;
}

/** Does it for each item, with never more than `most` under way. Results come in their order. */
async function inParallel<T, R>(items: readonly T[], most: number, each: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const waiting = items.entries();
  const worker = async () => {
    for (const [i, item] of waiting) results[i] = await each(item);
  };
  await Promise.all(Array.from({ length: most }, worker));
  return results;
}
