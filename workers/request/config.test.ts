/**
 * A deployment that lacks a setting is closed on every route, and its log says which setting it is.
 */
import { expect, test, vi } from 'vitest';
import { LOOSEST } from '#policies/schema.ts';
import type { ErrorBody } from '#shared/api/errors.ts';
import { createApp } from '../app.ts';
import { scriptedClassifier } from '../testing/worker/scripted-classifier.ts';
import type { Env } from './env.ts';

const unreachable = () => {
  throw new Error('a route of an edge that is not configured got this far');
};
const WHOLE: Env = {
  TENANT_INDEX: { getByName: unreachable },
  TENANT_OBJECT: { getByName: unreachable },
  POOL_DIRECTORY: { getByName: unreachable },
  TENANT_SNAPSHOTS: { get: unreachable, put: unreachable, delete: unreachable },
  BACKENDS: '["http://127.0.0.1:1"]',
  DIRECTIVE_SECRET: 'a secret that only tests have, 32 bytes long',
  RECEIPT_JWKS: JSON.stringify({ keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'public', kid: 'test-key' }] }),
  OPERATOR_KEY_SHA256: 'a'.repeat(64),
};

const app = () => createApp({ classifier: scriptedClassifier, operatorPolicy: LOOSEST });
const ROUTES: [string, RequestInit][] = [
  ['/v1/chat/completions', { method: 'POST', body: '{}', headers: { authorization: 'Bearer pk-demo-balanced' } }],
  ['/healthz', {}],
  ['/.well-known/jwks.json', {}],
  ['/admin/v1/tenants', { headers: { authorization: 'Bearer pk-demo-operator' } }],
];

test.each<[keyof Env, string | undefined]>([
  ['DIRECTIVE_SECRET', undefined],
  ['DIRECTIVE_SECRET', 'too short'],
  ['RECEIPT_JWKS', undefined],
  ['RECEIPT_JWKS', '{"keys":[]}'],
  ['EDGE_RECEIPT_JWK', '{"kty":"OKP","crv":"Ed25519","x":"public","kid":"edge-key"}'],
  // Its name is that of a backend's key.
  ['EDGE_RECEIPT_JWK', '{"kty":"OKP","crv":"Ed25519","x":"public","d":"private","kid":"test-key"}'],
  ['EDGE_RECEIPT_JWK', '{"keys":[]}'],
  ['OPERATOR_KEY_SHA256', 'pk-demo-operator'],
  ['BACKENDS', 'http://127.0.0.1:1'],
  // This is what wrangler.toml has until somebody fills it in.
  ['BACKENDS', '[]'],
  ['POOL_REGISTRATION', 'yes'],
  ['HELPFULNESS_BACKENDS', 'https://backend-2.example'],
])('with %s = %s, every route is closed and the log names the setting', async (name, value) => {
  const { [name]: _setting, ...rest } = WHOLE;
  // The cast: these tests are about what the types forbid.
  const env = { ...rest, ...(value !== undefined && { [name]: value }) } as Env;
  const write = vi.spyOn(console, 'error').mockReturnValue();
  const answers = await Promise.all(ROUTES.map(([path, init]) => app().request(path, init, env)));
  const log = write.mock.calls.join('\n');
  write.mockRestore();
  for (const answer of answers) {
    expect(answer.status).toBe(500);
    expect(answer.headers.get('x-request-id')).toMatch(/^req_/);
    const { error } = (await answer.json()) as ErrorBody;
    expect(error).toMatchObject({ code: 'internal_error', message: 'The server is not configured.' });
  }
  expect(log).toContain(`"${name}`);
  if (value !== undefined) expect(log).not.toContain(value);
});

test('BACKENDS may be empty where backends register', async () => {
  const env = { ...WHOLE, BACKENDS: '[]', POOL_REGISTRATION: 'on' };
  expect((await app().request('/.well-known/jwks.json', {}, env)).status).toBe(200);
});

test('the edge serves its receipt keys once every setting is there', async () => {
  expect((await app().request('/.well-known/jwks.json', {}, WHOLE)).status).toBe(200);
});
