import { describe, expect, test } from 'vitest';
import type * as z from 'zod';
import { PLAIN_SAMPLING } from '#shared/api/sampling.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import { directiveKey, signDirective } from './directive.ts';
import { drainKey, signDrainOrder, verifyDrainOrder } from './drain-order.ts';
import { type Heartbeat, heartbeatKey, signHeartbeat, verifyAnyHeartbeat, verifyHeartbeat } from './heartbeat.ts';
import { helpfulnessKey } from './pool-secret.ts';

const SECRET = directiveKey('a secret of thirty-two bytes or more');
const key = await heartbeatKey(SECRET);
const NOW = new Date('2026-01-01T00:00:00Z');
const later = (seconds: number) => new Date(NOW.getTime() + seconds * 1000);

const HEARTBEAT: z.input<typeof Heartbeat> = {
  incarnation: 1_767_225_600_000,
  counter: 1,
  report: {
    url: 'https://backend-1.example/',
    status: 'ok',
    backend: 'b1',
    model: 'scripted',
    region: 'weur',
    bundle: '0'.repeat(64),
    experts: { safety: { kind: 'adapter' }, helpfulness: { kind: 'base' } },
    modes: ['logits', 'a mode of tomorrow'],
    context_length: 96,
    max_token_bytes: 1,
    second_look: null,
    scores: false,
    tool_syntax: null,
    sampling: PLAIN_SAMPLING,
    draws: '01234567',
    heartbeat_ms: 5_000,
    capacity: { rows: 32, waiting: 64 },
    load: { running: 1, waiting: 0, rows: 2 },
    prefixes: { queried_tokens: 10, found_tokens: 5, bytes: 100 },
  },
};
const sign = (change: object = {}, { with: signedWith = key, at = NOW } = {}) =>
  signHeartbeat({ ...HEARTBEAT, ...change }, signedWith, at);

describe('a heartbeat', () => {
  test('arrives as it was sent, without a slash at the end of its URL and modes that we do not know', async () => {
    const heard = await verifyHeartbeat(await sign(), key, NOW);
    expect(heard).toEqual({
      ...HEARTBEAT,
      report: { ...HEARTBEAT.report, url: 'https://backend-1.example', modes: ['logits'], serves: [] },
    });
  });

  test.each([
    ['unsigned', async () => 'eyJhbGciOiJub25lIn0.e30.'],
    ['no JWS', async () => 'pk-demo-operator'],
    [
      'by another secret',
      async () => sign({}, { with: await heartbeatKey(directiveKey('another secret of thirty-two bytes')) }),
    ],
    ['by the directive secret itself', async () => sign({}, { with: SECRET })],
    ['by the key for drains', async () => sign({}, { with: await drainKey(SECRET) })],
    ['30 seconds old', async () => sign({}, { at: later(-30) })],
    ['from the next minute', async () => sign({}, { at: later(31) })],
    ['without a counter', async () => sign({ counter: 0 })],
    ['with a URL that is none', async () => sign({ report: { ...HEARTBEAT.report, url: 'file:///etc/passwd' } })],
    [
      'with a negative load',
      async () => sign({ report: { ...HEARTBEAT.report, load: { running: -1, waiting: 0, rows: 0 } } }),
    ],
  ])('%s is refused', async (_what, token) => {
    await expect(verifyHeartbeat(await token(), key, NOW)).rejects.toMatchObject({ code: 'heartbeat_invalid' });
  });

  test('is taken within 30 seconds, whichever clock is ahead', async () => {
    for (const seconds of [-29, 29]) {
      expect(await verifyHeartbeat(await sign({}, { at: later(seconds) }), key, NOW)).toMatchObject({ counter: 1 });
    }
  });

  test('changed by one character is refused', async () => {
    const token = await sign();
    const [header, payload, mac] = token.split('.') as [string, string, string];
    const changed = `${header}.${payload.slice(0, 40)}${payload[40] === 'A' ? 'B' : 'A'}${payload.slice(41)}.${mac}`;
    await expect(verifyHeartbeat(changed, key, NOW)).rejects.toMatchObject({ code: 'heartbeat_invalid' });
  });

  test('is no directive under its own key, and a directive is no heartbeat', async () => {
    const directive = await signDirective(
      {
        id: crypto.randomUUID(),
        request: 'r',
        tenant: 't',
        key: 'k',
        policy: 'p',
        classifier: 'c',
        digest: '0'.repeat(64),
        line: OPEN_LINE,
        second_look: null,
        resume: null,
      },
      key,
      NOW,
    );
    await expect(verifyHeartbeat(directive, key, NOW)).rejects.toMatchObject({ code: 'heartbeat_invalid' });
  });
});

describe('a heartbeat under the helpfulness pool’s own secret', () => {
  test('counts as that pool’s, and one of the deployment’s does not', async () => {
    const pool = await heartbeatKey(await helpfulnessKey(SECRET));
    expect((await verifyAnyHeartbeat(await sign(), SECRET, NOW)).report.pool).toBeUndefined();
    const heard = await verifyAnyHeartbeat(await sign({}, { with: pool }), SECRET, NOW);
    expect(heard.report).toMatchObject({ backend: 'b1', pool: 'helpfulness' });
    const other = sign({}, { with: await heartbeatKey(directiveKey('another secret of thirty-two bytes')) });
    await expect(verifyAnyHeartbeat(await other, SECRET, NOW)).rejects.toMatchObject({ code: 'heartbeat_invalid' });
    const old = sign({}, { with: pool, at: later(-30) });
    await expect(verifyAnyHeartbeat(await old, SECRET, NOW)).rejects.toThrow('too old');
  });
});

describe('an order to drain', () => {
  const heartbeatOnly = new Uint8Array(32);
  const order = { id: crypto.randomUUID(), backend: 'b1', drain: true };
  const check = async (token: string, { backend = 'b1', now = NOW } = {}) =>
    verifyDrainOrder(token, { keys: [heartbeatOnly, await drainKey(SECRET)], backend, now });

  test('is for one backend, and lives for 30 seconds', async () => {
    const token = await signDrainOrder(order, await drainKey(SECRET), NOW);
    expect(await check(token)).toEqual(order);
    await expect(check(token, { backend: 'b2' })).rejects.toThrow(/for b1, not b2/);
    await expect(check(token, { now: later(31) })).rejects.toMatchObject({ code: 'directive_invalid' });
  });

  test('needs the key for drains', async () => {
    for (const wrong of [SECRET, key]) {
      await expect(check(await signDrainOrder(order, wrong, NOW))).rejects.toMatchObject({ code: 'directive_invalid' });
    }
  });
});
