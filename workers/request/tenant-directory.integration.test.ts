/**
 * How old what an isolate acts on can be, measured: the real objects and the real KV of a running
 * edge, isolates that are directories of their own, and a clock that the test moves.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { LOOSEST } from '#policies/schema.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { adminClient } from '../control/admin-client.ts';
import { type EdgeUnderTest, OPERATOR_KEY, startEdgeUnderTest } from '../testing/edge-under-test.ts';
import { admit } from './authenticate.ts';
import type { Env } from './env.ts';
import { makeKey } from './key-form.ts';
import { createTenantDirectory, DEFAULT_FRESHNESS, MOST_WRONG_KEYS } from './tenant-directory.ts';

const { isolateTtlMs, kvMaxAgeMs } = DEFAULT_FRESHNESS;
const BOUND_MS = isolateTtlMs + kvMaxAgeMs;
const STEP_MS = 500;

let under: EdgeUnderTest;
let env: Env;
let admin: ReturnType<typeof adminClient>;
let nowMs: number;
let key: { id: string; sha256: string };
let tenant: string;
let count = 0;

beforeAll(async () => {
  under = await startEdgeUnderTest({ seed: false });
  admin = adminClient(under.edge.url, OPERATOR_KEY);
  // The cast: the bindings of the real runtime, seen from Node.
  env = (await under.edge.miniflare.getBindings()) as unknown as Env;
});
afterAll(() => under.dispose());
beforeEach(async () => {
  nowMs = Date.now();
  count += 1;
  tenant = `aging-${count}`;
  await admin.tenants.$post({ json: { id: tenant, name: tenant, policy: { floor: 0.2, budget: null } } });
  key = await (await admin.tenants[':id'].keys.$post({ param: { id: tenant }, json: {} })).json();
});

function isolate() {
  const directory = createTenantDirectory({ operatorPolicy: LOOSEST, now: () => nowMs });
  const writes: Promise<unknown>[] = [];
  return async () => {
    const caller = await directory.lookup(key.sha256, { env, address: 'a', waitUntil: (write) => writes.push(write) });
    await Promise.all(writes);
    return admit(caller, { scope: 'inference', now: nowMs });
  };
}
const codeOf = (ask: () => Promise<unknown>) =>
  ask().then(
    () => null,
    (error: unknown) => (error instanceof PlimsollError ? error.code : String(error)),
  );
const kvName = () => `key:${key.sha256}`;
const kv = () => under.edge.miniflare.getKVNamespace('TENANT_SNAPSHOTS');
/** How long after now an isolate still lets the key in; at most twice the bound. */
async function acceptedForMs(ask: () => Promise<unknown>): Promise<number> {
  const beganMs = nowMs;
  while (nowMs - beganMs <= 2 * BOUND_MS && (await codeOf(ask)) === null) nowMs += STEP_MS;
  return nowMs - beganMs;
}
const revoke = async () => {
  const param = { id: tenant, key: key.id };
  expect((await admin.tenants[':id'].keys[':key'].$delete({ param })).status).toBe(200);
};

describe('a key that was revoked in one isolate is refused in another', () => {
  test('once that has forgotten it, if the change of KV has arrived', async () => {
    const elsewhere = isolate();
    await elsewhere();
    await revoke();
    const measured = await acceptedForMs(elsewhere);
    expect(measured).toBeGreaterThan(0);
    expect(measured).toBeLessThanOrEqual(isolateTtlMs);
  });
  test('within the age of an isolate’s copy and of KV’s, if KV goes on giving the old copy', async () => {
    const first = isolate();
    await first();
    const old = await (await kv()).get(kvName());
    expect(old).not.toBeNull();
    await revoke();
    // An edge of the network that has not heard of the change.
    await (await kv()).put(kvName(), String(old));
    // An isolate that reads this copy at the last moment at which it may be used.
    const late = isolate();
    const beganMs = nowMs;
    nowMs += kvMaxAgeMs - STEP_MS;
    expect(await codeOf(late)).toBeNull();
    await acceptedForMs(late);
    const measured = nowMs - beganMs;
    expect(measured).toBeGreaterThan(kvMaxAgeMs);
    expect(measured).toBeLessThanOrEqual(BOUND_MS);
    expect(await codeOf(isolate())).toBe('invalid_api_key');
  });
  test('and so is a policy that was activated: the old line is gone after the same bound', async () => {
    const first = isolate();
    await first();
    const old = await (await kv()).get(kvName());
    const param = { id: tenant };
    const json = { policy: { floor: 0.7, budget: null } };
    const { version } = await (await admin.tenants[':id'].policies.$post({ param, json })).json();
    const activate = admin.tenants[':id'].policies[':version'].activate;
    await activate.$post({ param: { id: tenant, version }, json: {} }, { headers: { 'if-match': '*' } });
    await (await kv()).put(kvName(), String(old));
    const late = isolate();
    const beganMs = nowMs;
    nowMs += kvMaxAgeMs - STEP_MS;
    while (nowMs - beganMs <= 2 * BOUND_MS && (await late()).policy.floor === 0.2) nowMs += STEP_MS;
    expect(nowMs - beganMs).toBeGreaterThan(kvMaxAgeMs);
    expect(nowMs - beganMs).toBeLessThanOrEqual(BOUND_MS);
    expect((await late()).policy.floor).toBe(0.7);
  });
});

/** An isolate for each layer that can answer: its own map, KV, the objects. */
async function layers(): Promise<Record<'isolate' | 'kv' | 'objects', () => Promise<unknown>>> {
  const warm = isolate();
  await codeOf(warm);
  const objects = isolate();
  return {
    isolate: warm,
    kv: isolate(),
    objects: async () => {
      await (await kv()).delete(kvName());
      return objects();
    },
  };
}

describe('whichever layer answers', () => {
  test('a key that has expired is refused from the very moment', async () => {
    const expiresAtMs = nowMs + 5_000;
    const json = { scopes: ['inference' as const], expires_at: new Date(expiresAtMs).toISOString() };
    key = await (await admin.tenants[':id'].keys.$post({ param: { id: tenant }, json })).json();
    const asked = await layers();
    for (const [layer, ask] of Object.entries(asked)) {
      nowMs = expiresAtMs - 1;
      expect(await codeOf(ask), layer).toBeNull();
      nowMs = expiresAtMs;
      expect(await codeOf(ask), layer).toBe('expired_api_key');
    }
  });
  test('a suspended tenant is refused', async () => {
    await admin.tenants[':id'].suspend.$post({ param: { id: tenant }, json: {} });
    for (const [layer, ask] of Object.entries(await layers())) {
      expect(await codeOf(ask), layer).toBe('tenant_suspended');
    }
  });
});

describe('keys that do not exist', () => {
  const outcome = async (key: string, address: string, route = '/v1/models') => {
    const headers = { authorization: `Bearer ${key}`, 'cf-connecting-ip': address };
    const answer = await fetch(`${under.edge.url}${route}`, { headers });
    return [answer.status, answer.headers.get('retry-after')] as const;
  };
  const wrong = () => `pk-${crypto.randomUUID()}`;

  test('reach the stores only so often from one address, and a key that exists always', async () => {
    const made = await (await admin.tenants[':id'].keys.$post({ param: { id: tenant }, json: {} })).json();
    expect(await outcome(made.key, '192.0.2.1')).toEqual([200, null]);
    for (let tried = 0; tried < MOST_WRONG_KEYS; tried += 20) {
      const statuses = await Promise.all(Array.from({ length: 20 }, () => outcome(wrong(), '192.0.2.1')));
      expect(new Set(statuses.map(([status]) => status))).toEqual(new Set([401]));
    }
    const [status, retryAfter] = await outcome(wrong(), '192.0.2.1');
    expect(status).toBe(429);
    expect(Number(retryAfter)).toBeLessThanOrEqual(60);
    expect(await outcome(made.key, '192.0.2.1')).toEqual([200, null]);
    expect(await outcome(wrong(), '192.0.2.2')).toEqual([401, null]);
    // The admin API is behind the same bound.
    expect(await outcome(wrong(), '192.0.2.1', `/admin/v1/tenants/${tenant}`)).toEqual([429, expect.any(String)]);
    expect(await outcome(OPERATOR_KEY, '192.0.2.1', '/admin/v1/tenants')).toEqual([200, null]);
  });

  test('are asked for once in a while, and not at all if their checksum is wrong', async () => {
    const asked: string[] = [];
    const index = env.TENANT_INDEX.getByName('index');
    const locate = (digest: string) => {
      asked.push(digest);
      return index.locate(digest);
    };
    // The cast: of the index, only `locate` is asked.
    const counting = { ...env, TENANT_INDEX: { getByName: () => ({ locate }) } } as unknown as Env;
    const directory = createTenantDirectory({ operatorPolicy: LOOSEST, now: () => nowMs });
    const digest = 'a'.repeat(64);
    for (let i = 0; i < 3; i++) {
      expect(await directory.lookupTruth(digest, { env: counting, address: null })).toBeNull();
      expect(await directory.lookup(digest, { env: counting, address: null, waitUntil: () => {} })).toBeNull();
    }
    expect(asked).toEqual([digest]);
    // More than one address may try, if any of them were asked for.
    for (let i = 0; i < MOST_WRONG_KEYS; i++) {
      const mistyped = (await makeKey()).replace(/.$/, (digit) => (digit === '0' ? '1' : '0'));
      expect(await outcome(mistyped, '192.0.2.3')).toEqual([401, null]);
    }
    expect(await outcome(wrong(), '192.0.2.3')).toEqual([401, null]);
  });
});
