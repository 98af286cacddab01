/** Sessions of the console, in the real runtime: what a cookie opens, for whom, and until when. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import { sha256 } from '../local/seed-demo-tenants.ts';
import { type Session, sealSession } from '../request/session-token.ts';
import {
  ask,
  DIRECTIVE_SECRET,
  type EdgeUnderTest,
  OPERATOR_KEY,
  startEdgeUnderTest,
} from '../testing/edge-under-test.ts';
import type { SessionAnswer } from './session-answer.ts';

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest({ withConsole: true });
});
afterAll(() => under.dispose());

const OWN = { 'x-plimsoll-console': '1', 'sec-fetch-site': 'same-origin' };
const SECRETS = { directiveKey: directiveKey(DIRECTIVE_SECRET), operatorKeySha256: sha256(OPERATOR_KEY) };

type Sent = { method?: string; headers?: Record<string, string>; body?: unknown };
const send = (route: string, { method = 'GET', headers = OWN, body }: Sent = {}) =>
  fetch(`${under.edge.url}${route}`, {
    method,
    headers,
    redirect: 'manual',
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
const withCookie = (cookie: string, more: Record<string, string> = OWN) => ({ cookie, ...more });

async function signIn(key: string): Promise<{ cookie: string; answer: Response; session: SessionAnswer }> {
  const answer = await send('/console/session', { method: 'POST', body: { key } });
  const session = (await answer.json()) as SessionAnswer;
  return { answer, session, cookie: (answer.headers.get('set-cookie') ?? '').split(';')[0]! };
}
async function refusal(answer: Response): Promise<[number, string]> {
  return [answer.status, ((await answer.json()) as ErrorBody).error.code];
}
/** A key of demo-open that tests may revoke. */
async function newKey(scopes: string[]): Promise<{ id: string; key: string }> {
  const made = await send('/admin/v1/tenants/demo-open/keys', {
    method: 'POST',
    headers: { authorization: `Bearer ${OPERATOR_KEY}` },
    body: { scopes },
  });
  return (await made.json()) as { id: string; key: string };
}
const chat = (cookie: string, headers = OWN) =>
  send('/v1/chat/completions', { method: 'POST', headers: withCookie(cookie, headers), body: ask('Hello') });

describe('signing in', () => {
  test('gives a cookie that no script can read and no other site can send, and tells who is in', async () => {
    const { answer, session } = await signIn('pk-demo-balanced');
    expect(session).toMatchObject({
      kind: 'tenant',
      tenant: 'demo-balanced',
      key: 'demo',
      scopes: ['inference'],
      line: { floor: 0.3, budget: 20 },
    });
    const cookie = answer.headers.get('set-cookie')!;
    expect(cookie).toMatch(/^plimsoll-session=[\w-]+; Max-Age=3600; Path=\/; HttpOnly; SameSite=Strict$/);
    expect(cookie).not.toContain('pk-demo');
    expect(answer.headers.get('cache-control')).toBe('no-store');
  });

  test('behind TLS, the cookie is for TLS alone, and for this host alone', async () => {
    const headers = { ...OWN, 'x-forwarded-proto': 'https, http' };
    const body = { key: 'pk-demo-open' };
    const cookie = (await send('/console/session', { method: 'POST', headers, body })).headers.get('set-cookie')!;
    expect(cookie).toMatch(/^__Host-plimsoll-session=.*; Secure/);
    expect(cookie).not.toContain('Domain');
    const [pair] = cookie.split(';');
    expect((await send('/console/session', { headers: withCookie(pair!, headers) })).status).toBe(200);
    // What came without TLS does not count behind it.
    const plain = pair!.replace('__Host-', '');
    expect(await refusal(await send('/console/session', { headers: withCookie(plain, headers) }))).toEqual([
      401,
      'invalid_api_key',
    ]);
  });

  test('an operator is in for all tenants', async () => {
    const { session, cookie } = await signIn(OPERATOR_KEY);
    expect(session).toMatchObject({ kind: 'operator', tenant: null, key: null, line: null });
    const listed = await send('/admin/v1/tenants', { headers: withCookie(cookie) });
    expect(((await listed.json()) as { data: object[] }).data).toHaveLength(3);
  });

  test.each(['pk-nobody', `pk-${'0'.repeat(64)}-00000000`])('not with the key %s', async (key) => {
    const { answer } = await signIn(key);
    expect([answer.status, answer.headers.get('set-cookie')]).toEqual([401, null]);
  });

  test('not from another site, which could sign somebody in as itself', async () => {
    for (const headers of [
      {},
      { 'x-plimsoll-console': '1' },
      { ...OWN, 'sec-fetch-site': 'same-site' },
      { ...OWN, origin: 'http://127.0.0.1:1' },
    ]) {
      const answer = await send('/console/session', { method: 'POST', headers, body: { key: 'pk-demo-open' } });
      expect(answer.headers.get('set-cookie')).toBeNull();
      expect(await refusal(answer)).toEqual([403, 'permission_denied']);
    }
  });
});

describe('a session', () => {
  test('asks what its key may ask, in its name', async () => {
    const { cookie } = await signIn('pk-demo-balanced');
    const answer = await chat(cookie);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ plimsoll: { policy: { tenant: 'demo-balanced' }, floor: 0.3 } });
  });

  test('counts for nothing without the header that only own pages send, whatever the method', async () => {
    const { cookie } = await signIn(OPERATOR_KEY);
    const cases: [string, Sent][] = [
      ['/admin/v1/tenants', {}],
      ['/admin/v1/tenants/demo-open/suspend', { method: 'POST', body: {} }],
      ['/v1/models', {}],
      ['/console/session', { method: 'DELETE' }],
    ];
    const foreign: Record<string, string>[] = [
      {},
      { ...OWN, 'sec-fetch-site': 'cross-site' },
      { ...OWN, 'sec-fetch-site': 'same-site' },
      { ...OWN, origin: 'https://evil.example' },
      { ...OWN, origin: 'null' },
    ];
    for (const [route, sent] of cases) {
      for (const headers of foreign) {
        const answer = await send(route, { ...sent, headers: withCookie(cookie, headers) });
        expect(await refusal(answer)).toEqual([403, 'permission_denied']);
      }
    }
    expect((await send('/console/session', { headers: withCookie(cookie) })).status).toBe(200);
  });

  test('changes something only for a browser that says where the page is from', async () => {
    const { cookie } = await signIn('pk-demo-open');
    const header = { 'x-plimsoll-console': '1' };
    const renew = (headers: Record<string, string>) =>
      send('/console/session', { method: 'PUT', headers: withCookie(cookie, headers) });
    expect(await refusal(await renew(header))).toEqual([403, 'permission_denied']);
    expect((await renew({ ...header, origin: new URL(under.edge.url).origin })).status).toBe(200);
    expect((await renew(OWN)).status).toBe(200);
    expect((await send('/console/session', { headers: withCookie(cookie, header) })).status).toBe(200);
  });

  test('keeps what it is answered out of caches, errors too', async () => {
    const { cookie } = await signIn('pk-demo-open');
    const cases = ['/v1/models', '/admin/v1/tenants/demo-open', '/admin/v1/tenants', '/v1/nothing', '/console/session'];
    for (const route of cases) {
      const answer = await send(route, { headers: withCookie(cookie) });
      expect([route, answer.headers.get('cache-control')]).toEqual([route, 'no-store']);
    }
    expect((await chat(cookie)).headers.get('cache-control')).toBe('no-store');
    expect((await send('/console/session', { headers: {} })).headers.get('cache-control')).toBe('no-store');
    expect((await send('/console', { headers: withCookie(cookie) })).headers.get('cache-control')).toBe('no-cache');
  });

  test('asks for its key at most sixty times a minute, by whatever method', async () => {
    const { key } = await newKey(['read']);
    const { cookie } = await signIn(key);
    const answers: number[] = [];
    for (let asked = 1; asked < 60; asked++) {
      const method = asked % 2 === 0 ? 'PUT' : 'GET';
      answers.push((await send('/console/session', { method, headers: withCookie(cookie) })).status);
    }
    expect(new Set(answers)).toEqual(new Set([200]));
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const answer = await send('/console/session', { method, headers: withCookie(cookie) });
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      // Who wants out is out here, whatever else happens.
      if (method === 'DELETE') expect(answer.headers.get('set-cookie')).toMatch(/^plimsoll-session=; Max-Age=0;/);
      expect(await refusal(answer)).toEqual([429, 'rate_limit_exceeded']);
    }
    expect((await signIn(key)).answer.status).toBe(429);
    expect((await signIn('pk-demo-open')).answer.status).toBe(200);
  });

  test('no page of another origin is told that it may send that header', async () => {
    const asked = await send('/admin/v1/tenants', {
      method: 'OPTIONS',
      headers: {
        origin: 'https://evil.example',
        'access-control-request-method': 'GET',
        'access-control-request-headers': 'x-plimsoll-console',
      },
    });
    expect([...asked.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
  });

  test('opens no other tenant, and nothing that its key does not open', async () => {
    const { key } = await newKey(['read']);
    const { cookie } = await signIn(key);
    const see = (route: string, method = 'GET') => send(route, { method, headers: withCookie(cookie) });
    expect((await see('/admin/v1/tenants/demo-open')).status).toBe(200);
    expect(await refusal(await see('/admin/v1/tenants/demo-strict'))).toEqual([404, 'not_found']);
    expect(await refusal(await see('/admin/v1/tenants'))).toEqual([401, 'invalid_api_key']);
    expect(await refusal(await see('/admin/v1/tenants/demo-open/rollback', 'POST'))).toEqual([
      403,
      'permission_denied',
    ]);
    expect(await refusal(await chat(cookie))).toEqual([403, 'permission_denied']);
  });

  test('is not asked where a key is given, right or wrong', async () => {
    const { cookie } = await signIn(OPERATOR_KEY);
    const withKey = (key: string) =>
      send('/admin/v1/tenants', { headers: withCookie(cookie, { ...OWN, authorization: `Bearer ${key}` }) });
    expect(await refusal(await withKey('pk-demo-open'))).toEqual([401, 'invalid_api_key']);
    expect((await withKey(OPERATOR_KEY)).status).toBe(200);
  });

  test('ends with its key: at once in the admin API and here, where it was revoked', async () => {
    const { id, key } = await newKey(['inference', 'admin']);
    const { cookie } = await signIn(key);
    expect((await chat(cookie)).status).toBe(200);
    const revoked = await send(`/admin/v1/tenants/demo-open/keys/${id}`, {
      method: 'DELETE',
      headers: withCookie(cookie),
    });
    expect(revoked.status).toBe(200);
    expect(await refusal(await send('/admin/v1/tenants/demo-open', { headers: withCookie(cookie) }))).toEqual([
      401,
      'invalid_api_key',
    ]);
    expect(await refusal(await chat(cookie))).toEqual([401, 'invalid_api_key']);
    expect((await send('/console/session', { headers: withCookie(cookie) })).status).toBe(401);
  });

  test('ends when it is signed out of, and so does every copy of its cookie', async () => {
    const { cookie } = await signIn('pk-demo-open');
    const renewed = await send('/console/session', { method: 'PUT', headers: withCookie(cookie) });
    const copy = renewed.headers.get('set-cookie')!.split(';')[0]!;
    const out = await send('/console/session', { method: 'DELETE', headers: withCookie(cookie) });
    expect(out.headers.get('set-cookie')).toMatch(/^plimsoll-session=; Max-Age=0;/);
    for (const each of [cookie, copy]) {
      expect(await refusal(await chat(each))).toEqual([401, 'expired_api_key']);
      expect((await send('/console/session', { headers: withCookie(each) })).status).toBe(401);
    }
  });

  test('is renewed, but not beyond twelve hours after the sign-in', async () => {
    const hour = 3_600_000;
    const began = Date.now() - 11.5 * hour;
    const old = await sealed({ beganAtMs: Math.round(began), untilMs: Math.round(Date.now() + 60_000) });
    const answer = await send('/console/session', { method: 'PUT', headers: withCookie(old) });
    const { expires_at, renewable_until } = (await answer.json()) as SessionAnswer;
    expect(Date.parse(expires_at)).toBe(Math.round(began) + 12 * hour);
    expect(renewable_until).toBe(expires_at);
  });
});

async function sealed(change: Partial<Session>, secrets = SECRETS): Promise<string> {
  const session: Session = {
    id: crypto.randomUUID(),
    digest: sha256('pk-demo-open'),
    tenant: 'demo-open',
    beganAtMs: Date.now(),
    untilMs: Date.now() + 60_000,
    ...change,
  };
  return `plimsoll-session=${await sealSession(session, secrets)}`;
}

describe('a cookie that we have not made like this is refused', () => {
  const cases: Record<string, () => Promise<string>> = {
    'a forged one': async () => sealed({}, { ...SECRETS, directiveKey: directiveKey('x'.repeat(32)) }),
    'one for the operator, by whoever knows the directive secret alone': async () =>
      sealed({ digest: SECRETS.operatorKeySha256, tenant: null }, { ...SECRETS, operatorKeySha256: '0'.repeat(64) }),
    'one that is over': async () => sealed({ beganAtMs: Date.now() - 7_200_000, untilMs: Date.now() - 1 }),
    'the digest of a key, as it stands in a list of keys': async () => `plimsoll-session=${sha256('pk-demo-open')}`,
    'one whose key is another tenant’s now': async () => sealed({ tenant: 'demo-strict' }),
    'one whose key was a tenant’s and is the operator’s now': async () =>
      sealed({ digest: SECRETS.operatorKeySha256, tenant: 'demo-open' }),
  };
  test.each(Object.entries(cases))('%s', async (_name, make) => {
    const cookie = await make();
    for (const route of ['/admin/v1/tenants/demo-open', '/console/session']) {
      expect(await refusal(await send(route, { headers: withCookie(cookie) }))).toEqual([401, 'expired_api_key']);
    }
    expect((await chat(cookie)).status).toBe(401);
  });

  test('while one that we have made like this is not', async () => {
    expect((await chat(await sealed({}))).status).toBe(200);
  });
});

describe('the console’s files', () => {
  test('over TLS, a browser is told to come over nothing else', async () => {
    const answer = await send('/console', { headers: { 'x-forwarded-proto': 'https' } });
    expect(answer.headers.get('strict-transport-security')).toBe('max-age=31536000');
  });

  test('a browser that opens the edge is led to a page that runs nothing inline and asks nobody else', async () => {
    const front = await send('/', { headers: { accept: 'text/html' } });
    expect([front.status, front.headers.get('location')]).toEqual([302, '/console']);
    for (const route of ['/console', '/console/', '/console/tenants/demo-open']) {
      const answer = await send(route);
      expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
      expect(answer.headers.get('strict-transport-security')).toBeNull();
      const policy = answer.headers.get('content-security-policy')!;
      expect(policy).toContain("default-src 'none'; script-src 'self'");
      expect(policy).not.toMatch(/unsafe|https?:/);
      const page = await answer.text();
      expect(page).not.toMatch(/<script(?![^>]*\ssrc="\/console\/)|<style|\son\w+=|https?:/);
      const [, script] = /src="(\/console\/app-\w+\.js)"/.exec(page)!;
      const loaded = await send(script!);
      expect(loaded.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
      expect(loaded.headers.get('cache-control')).toContain('immutable');
    }
  });

  test.each(['/console/nothing.js', '/console/../wrangler.toml', '/console/%2e%2e/x.js', '/console/a/b.js'])(
    'there is no %s',
    async (route) => {
      expect((await send(route)).status).toBe(404);
    },
  );
});
