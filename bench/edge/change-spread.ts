/**
 * How soon a change is everywhere: in each round, a policy is activated and a key is revoked while
 * clients ask all the time. Measured is the time from the admin API's answer to the last answer
 * under the old line or with the old key.
 *
 * The local edge has one isolate, which is the one that makes the change. The others are
 * directories of their own (workers/request/tenant-directory.ts) over the same KV and the same
 * objects, each asked every few milliseconds, with copies of different ages. Their figure is that
 * of the last of them. Local KV has a change at once, so what is not shown here is the further age
 * of a copy that another place's KV goes on giving; a test with a clock of its own has that worst
 * case (workers/request/tenant-directory.integration.test.ts).
 *
 * Written down before measuring. Where the change is made, only answers that were under way come
 * later: 0 to 50 ms. Elsewhere an isolate forgets after ten seconds, so the last of eight comes 8
 * to 10 s after the change, and none later than 10.
 */
import { LOOSEST } from '#policies/schema.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { adminClient } from '#workers/control/admin-client.ts';
import type { Env } from '#workers/request/env.ts';
import { createTenantDirectory, DEFAULT_FRESHNESS } from '#workers/request/tenant-directory.ts';
import { ask, type EdgeUnderTest, OPERATOR_KEY, post, startEdgeUnderTest } from '#workers/testing/edge-under-test.ts';
import { type Measured, median, printMeasured } from '../harness/measure.ts';

const CLIENTS = 4;
const ISOLATES = 8;
const PAUSE_MS = 10;
/** So long after a change we go on looking for what is old. */
const AFTER_MS = DEFAULT_FRESHNESS.isolateTtlMs + 2_000;
const OLD_FLOOR = 0.2;
const NEW_FLOOR = 0.7;

/** Whether what has just been answered was answered as before the change. */
type IsOld = () => Promise<boolean>;
type Changing = { name: string; here: IsOld; elsewhere: IsOld[]; change: () => Promise<void> };

export async function benchChangeSpread({ rounds }: { rounds: number }): Promise<Record<string, number>> {
  const under = await startEdgeUnderTest({ seed: false, entry: 'patient.ts' });
  try {
    const values = new Map<string, number[]>();
    for (let round = 0; round < rounds; round++) {
      const changing = await Promise.all([activation(under, round), revocation(under, round)]);
      const found = await Promise.all(changing.map((each) => measure(each)));
      for (const [name, ms] of found.flat()) values.set(name, [...(values.get(name) ?? []), ms]);
    }
    const measured: Measured[] = [...values].map(([name, all]) => ({ name, values: all, median: median(all) }));
    console.log(`\nfrom a change to the last answer as before it (${CLIENTS} clients, ${ISOLATES} other isolates)`);
    printMeasured(measured, 'ms');
    return Object.fromEntries(
      measured.flatMap(({ name, values: all, median: middle }) => [
        [`${name} (ms)`, middle],
        [`${name}, worst round (ms)`, Math.max(...all)],
      ]),
    );
  } finally {
    await under.dispose();
  }
}

async function activation(under: EdgeUnderTest, round: number): Promise<Changing> {
  const { id, key, admin } = await newTenant(under, `activates-${round}`);
  const param = { id };
  const json = { policy: { floor: NEW_FLOOR, budget: null } };
  const drafted = await admin.tenants[':id'].policies.$post({ param, json });
  if (!drafted.ok) throw new Error(await drafted.text());
  const { version } = await drafted.json();
  const isOld = (floor: number | undefined) => {
    if (floor !== OLD_FLOOR && floor !== NEW_FLOOR) throw new Error(`an answer under a floor of ${floor}`);
    return floor === OLD_FLOOR;
  };
  return {
    name: 'activation to the last answer under the old line',
    here: async () => {
      const answer = await post(under.edge, '/v1/chat/completions', ask('Hi'), key);
      // The cast: the answer comes from our own edge.
      const { plimsoll } = (await answer.json()) as { plimsoll?: { floor: number } };
      return isOld(plimsoll?.floor);
    },
    elsewhere: await isolates(under, key, (caller) => isOld(caller?.policy.floor)),
    change: async () => {
      const asked = { param: { id, version }, json: {} };
      const answer = await admin.tenants[':id'].policies[':version'].activate.$post(asked, {
        headers: { 'if-match': '*' },
      });
      if (!answer.ok) throw new Error(await answer.text());
    },
  };
}

async function revocation(under: EdgeUnderTest, round: number): Promise<Changing> {
  const { id, key, admin } = await newTenant(under, `revokes-${round}`);
  return {
    name: 'revocation to the last answer with the old key',
    here: async () => {
      const answer = await post(under.edge, '/v1/chat/completions', ask('Hi'), key);
      const text = await answer.text();
      if (answer.status !== 200 && answer.status !== 401) throw new Error(`the answer failed: ${text}`);
      return answer.status === 200;
    },
    elsewhere: await isolates(under, key, (caller) => caller !== null),
    change: async () => {
      const answer = await admin.tenants[':id'].keys[':key'].$delete({ param: { id, key: 'main' } });
      if (!answer.ok) throw new Error(await answer.text());
    },
  };
}

/** A tenant with a key of its own, and the client that changes it. */
async function newTenant({ edge }: EdgeUnderTest, id: string) {
  const key = `pk-test-${id}`;
  const admin = adminClient(edge.url, OPERATOR_KEY);
  const policy = { floor: OLD_FLOOR, budget: null };
  const json = { name: id, policy, keys: [{ id: 'main', sha256: await sha256Hex(key) }] };
  const put = await admin.tenants[':id'].$put({ param: { id }, json });
  if (!put.ok) throw new Error(await put.text());
  return { id, key, admin };
}

type Directory = ReturnType<typeof createTenantDirectory>;

async function isolates(
  { edge }: EdgeUnderTest,
  key: string,
  isOld: (caller: Awaited<ReturnType<Directory['lookup']>>) => boolean,
): Promise<IsOld[]> {
  const digest = await sha256Hex(key);
  // The cast: the bindings of the real runtime, seen from Node.
  const env = (await edge.miniflare.getBindings()) as unknown as Env;
  return Array.from({ length: ISOLATES }, () => {
    const directory = createTenantDirectory({ operatorPolicy: LOOSEST });
    // A write of the near copy is waited for, so that none arrives after the change.
    return async () => {
      const writes: Promise<unknown>[] = [];
      const caller = await directory.lookup(digest, { env, address: null, waitUntil: (write) => writes.push(write) });
      await Promise.all(writes);
      return isOld(caller);
    };
  });
}

async function measure({ name, here, elsewhere, change }: Changing): Promise<[string, number][]> {
  const over = new AbortController();
  const lastOld = async (isOld: IsOld) => {
    let at = Number.NEGATIVE_INFINITY;
    while (!over.signal.aborted) {
      if (await isOld()) at = performance.now();
      await pause(PAUSE_MS);
    }
    return at;
  };
  // It may fail long before anybody waits for it. Whoever does is told all the same.
  const begin = (isOld: IsOld) => {
    const end = lastOld(isOld);
    end.catch(() => undefined);
    return end;
  };
  const clients = Array.from({ length: CLIENTS }, () => begin(here));
  const others: Promise<number>[] = [];
  try {
    // One after the other, so that their copies are of all ages when the change comes.
    for (const isOld of elsewhere) {
      others.push(begin(isOld));
      await pause(DEFAULT_FRESHNESS.isolateTtlMs / ISOLATES);
    }
    await change();
    const changedAt = performance.now();
    await pause(AFTER_MS);
    over.abort();
    const since = async (ends: Promise<number>[]) => Math.max(0, Math.max(...(await Promise.all(ends))) - changedAt);
    return [
      [`${name}, in the isolate that made it`, await since(clients)],
      [`${name}, in the last of the others`, await since(others)],
    ];
  } finally {
    over.abort();
    await Promise.allSettled([...clients, ...others]);
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
