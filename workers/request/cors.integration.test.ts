/** What a page in a browser may call, in workerd. A browser itself decides by the same headers. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { OPERATIONS } from '../openapi/document.ts';
import { ask, type EdgeUnderTest, OPERATOR_KEY, startEdgeUnderTest } from '../testing/edge-under-test.ts';

const PAGE = 'https://app.example';
let under: EdgeUnderTest;
let closed: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest({
    limits: { limited: { requests_per_minute: 1 } },
    overrides: { CORS_ORIGINS: `${PAGE},http://localhost:3000` },
  });
  closed = await startEdgeUnderTest({ seed: false });
});
afterAll(async () => {
  await under.dispose();
  await closed.dispose();
});

function preflight(path: string, { origin = PAGE, of = under, method = 'POST' } = {}): Promise<Response> {
  const asked = { 'access-control-request-method': method };
  const names = { 'access-control-request-headers': 'authorization,content-type,x-stainless-lang' };
  return fetch(`${of.edge.url}${path}`, { method: 'OPTIONS', headers: { origin, ...asked, ...names } });
}

function post(path: string, body: object, { origin = PAGE, key = 'pk-demo-balanced' } = {}): Promise<Response> {
  return fetch(`${under.edge.url}${path}`, {
    method: 'POST',
    headers: { origin, authorization: `Bearer ${key}` },
    body: JSON.stringify(body),
  });
}

const corsHeaders = ({ headers }: Response) => [...headers.keys()].filter((name) => name.startsWith('access-control-'));

const ROUTES = Object.keys(OPERATIONS).map((route) => route.replace(':id{.+}', 'a/model').replace(/:\w+/g, 'a'));
const isClosed = (route: string) => / \/(admin|pool|console)\b/.test(route);

test.each(ROUTES.filter((route) => !isClosed(route)))('%s may be called by a page that is named', async (route) => {
  const [method = '', path = ''] = route.split(' ');
  const answer = await preflight(path, { method });
  expect(answer.status).toBe(204);
  expect(Object.fromEntries(answer.headers)).toMatchObject({
    'access-control-allow-origin': PAGE,
    'access-control-allow-methods': expect.stringContaining(method),
    'access-control-allow-headers': 'authorization,content-type,x-stainless-lang',
    vary: 'access-control-request-headers, origin',
  });
  expect(answer.headers.get('access-control-allow-credentials')).toBeNull();
});

test.each(ROUTES.filter(isClosed).slice(0, 6))('%s may be called by no page', async (route) => {
  const [method = '', path = ''] = route.split(' ');
  const asked = await preflight(path, { method });
  expect([asked.status, corsHeaders(asked)]).toEqual([405, []]);
  const headers = { origin: PAGE, authorization: `Bearer ${OPERATOR_KEY}` };
  const answer = await fetch(`${under.edge.url}/admin/v1/tenants`, { headers });
  expect([answer.status, corsHeaders(answer)]).toEqual([200, []]);
});

test('no page may send the header of the console, whatever else it may', async () => {
  const headers = {
    origin: PAGE,
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization, X-Plimsoll-Console,content-type',
  };
  const asked = await fetch(`${under.edge.url}/v1/chat/completions`, { method: 'OPTIONS', headers });
  expect(asked.status).toBe(204);
  expect(asked.headers.get('access-control-allow-headers')).toBe('authorization,content-type');
});

describe('a page that is named', () => {
  test('reads answers, streams and errors, and the headers that say something about them', async () => {
    const whole = await post('/v1/chat/completions', ask('Hi'), { key: 'pk-test-limited' });
    const refused = await post('/v1/chat/completions', ask('Hi'), { key: 'pk-test-limited' });
    const stream = await post('/v1/chat/completions', { ...ask('Hi'), stream: true });
    const wrongKey = await post('/v1/chat/completions', ask('Hi'), { key: 'pk-wrong' });
    const unknown = await post('/v1/nothing', {});
    expect([whole, refused, stream, wrongKey, unknown].map(({ status }) => status)).toEqual([200, 429, 200, 401, 404]);
    for (const { headers } of [whole, refused, stream, wrongKey, unknown]) {
      expect(headers.get('access-control-allow-origin')).toBe(PAGE);
      expect(headers.get('access-control-expose-headers')).toContain('x-request-id');
      expect(headers.get('vary')).toContain('origin');
    }
    const exposed = refused.headers.get('access-control-expose-headers')!.split(', ');
    expect(exposed).toEqual(expect.arrayContaining(['retry-after', 'x-ratelimit-limit-requests']));
    expect(whole.headers.get('access-control-expose-headers')).toContain('x-plimsoll-cache');
  });
});

test('any other page reads nothing, and is told so by no header', async () => {
  for (const origin of ['https://evil.example', 'null', 'http://localhost:3001']) {
    const asked = await preflight('/v1/chat/completions', { origin });
    expect([asked.status, corsHeaders(asked)]).toEqual([405, []]);
    const answer = await post('/v1/chat/completions', ask('Hi'), { origin });
    expect([corsHeaders(answer), answer.headers.get('vary')]).toEqual([[], expect.stringContaining('origin')]);
  }
});

test('an edge that names no origin answers to none', async () => {
  const asked = await preflight('/v1/chat/completions', { of: closed });
  expect([asked.status, corsHeaders(asked), asked.headers.get('vary')]).toEqual([405, [], null]);
});
