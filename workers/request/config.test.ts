/** A deployment that lacks a setting is closed, on every route, and says in its log which one. */
import { afterEach, expect, test } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import { ask, type EdgeUnderTest, eventually, post, startEdgeUnderTest } from '../testing/edge-under-test.ts';

let under: EdgeUnderTest | undefined;
afterEach(() => under?.dispose());

test.each<[string, string | null]>([
  ['DIRECTIVE_SECRET', null],
  ['DIRECTIVE_SECRET', 'too short'],
  ['RECEIPT_JWKS', null],
  ['RECEIPT_JWKS', '{"keys":[]}'],
  ['OPERATOR_KEY_SHA256', 'pk-demo-operator'],
  ['BACKENDS', 'http://127.0.0.1:1'],
  // What wrangler.toml has until somebody fills it in.
  ['BACKENDS', '[]'],
])('%s = %s', async (name, value) => {
  under = await startEdgeUnderTest({ seed: false, overrides: { [name]: value } });
  const { edge, log } = under;
  const answers = [
    await post(edge, '/v1/chat/completions', ask('Hi')),
    await fetch(`${edge.url}/healthz`),
    await fetch(`${edge.url}/.well-known/jwks.json`),
    await fetch(`${edge.url}/admin/v1/tenants`, { headers: { authorization: 'Bearer pk-demo-operator' } }),
  ];
  for (const answer of answers) {
    expect(answer.status).toBe(500);
    expect(answer.headers.get('x-request-id')).toMatch(/^req_/);
    const { error } = (await answer.json()) as ErrorBody;
    expect(error).toMatchObject({ code: 'internal_error', message: 'The server is not configured.' });
  }
  await eventually(
    () => log.join('\n'),
    (text) => text.includes(`"${name}`),
  );
  if (value !== null) expect(log.join('\n')).not.toContain(value);
});
