/** `response_format` through the edge in workerd: what backends are asked, and what is refused. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { grammarDigest } from '#shared/protocol/grammar-digest.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { sha256 } from '../local/seed-demo-tenants.ts';
import { type EdgeUnderTest, OPERATOR_KEY, post, startEdgeUnderTest } from '../testing/edge-under-test.ts';

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest();
  const refuses = { action: 'refuse', ramp: { from: 0.5, full: 0.9 } };
  const prices = { floor: 0.5, ramp: { from: 0, full: 1 } };
  for (const [id, policy] of [
    ['no-grammar', { floor: 0, budget: null, shaping: { grammar: false } }],
    ['prices-unread', { floor: 0, budget: 20, categories: { violence: refuses, unread: prices } }],
  ] as const) {
    const put = await fetch(`${under.edge.url}/admin/v1/tenants/${id}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${OPERATOR_KEY}` },
      body: JSON.stringify({ name: id, policy, keys: [{ id: 'main', sha256: sha256(`pk-${id}`) }] }),
    });
    expect(put.status, await put.text()).toBe(200);
  }
});
afterAll(() => under.dispose());
beforeEach(() => {
  for (const { seen } of under.backends) seen.length = 0;
});

const SCHEMA = {
  type: 'object',
  properties: { zebra: { type: 'string' }, ant: { type: 'integer' } },
  required: ['ant'],
};
const ask = (more: object) => ({ model: 'scripted', messages: [{ role: 'user', content: 'Hello' }], ...more });
const withSchema = (schema: object) => ({
  response_format: { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema } },
});

async function asked(more: object) {
  const answer = await post(under.edge, '/v1/chat/completions', ask({ seed: 1, ...more }));
  const body = (await answer.json()) as {
    plimsoll: { receipt: string; unread: number; categories: { name: string; probability: number }[] };
  };
  expect(answer.status, JSON.stringify(body)).toBe(200);
  const receipt = await verifyReceipt(body.plimsoll.receipt, under.receiptKey.jwks);
  return { receipt, request: under.backends[0]!.seen[0]!.request, body };
}

async function refused(more: object) {
  const answer = await post(under.edge, '/v1/chat/completions', ask(more));
  const { error } = (await answer.json()) as { error: { message: string; param: string; code: string; type: string } };
  expect(answer.status, JSON.stringify(error)).toBe(400);
  expect(error.type).toBe('invalid_request_error');
  return error;
}

test('a schema goes to the backend with its properties in order, and the receipt names it', async () => {
  const { receipt, request } = await asked(withSchema(SCHEMA));
  const grammar = { type: 'json_schema', schema: JSON.stringify(SCHEMA) } as const;
  expect(request).toMatchObject({ grammar });
  expect(receipt.grammar).toBe(await grammarDigest(grammar));
});

test.each([
  [{ response_format: { type: 'json_object' } }, { type: 'json_object' }],
  [{ response_format: { type: 'json_schema', json_schema: { name: 'any' } } }, { type: 'json_object' }],
  [{ guided_json: SCHEMA }, { type: 'json_schema', schema: JSON.stringify(SCHEMA) }],
  [{ guided_json: JSON.stringify(SCHEMA) }, { type: 'json_schema', schema: JSON.stringify(SCHEMA) }],
  [{ structured_outputs: { json: SCHEMA } }, { type: 'json_schema', schema: JSON.stringify(SCHEMA) }],
  [{ structured_outputs: { json_object: true } }, { type: 'json_object' }],
])('%j asks for %j', async (more, grammar) => {
  expect((await asked(more)).request).toMatchObject({ grammar });
});

test('free text asks for no grammar, and its receipt names none', async () => {
  const { receipt, request } = await asked({ response_format: { type: 'text' } });
  expect(request).not.toHaveProperty('grammar');
  expect(receipt).not.toHaveProperty('grammar');
});

describe('a 400 names the field, and what is wrong', () => {
  test.each<[object, string, string, RegExp]>([
    [
      withSchema({ type: 'object', properties: { a: { patternProperties: {} } } }),
      'response_format',
      'unsupported_value',
      /"#\/properties\/a\/patternProperties", is not supported/,
    ],
    [withSchema({ type: 'objekt' }), 'response_format', 'invalid_value', /"#\/type", has no known type/],
    [withSchema({ $ref: 'https://example.com/x.json' }), 'response_format', 'unsupported_value', /"#\/\$ref"/],
    [withSchema({ type: 'string', pattern: '(?=a)b' }), 'response_format', 'unsupported_value', /look ahead/],
    [withSchema({ enum: [] }), 'response_format', 'invalid_value', /no value at all/],
    [withSchema({ requried: ['a'] }), 'response_format', 'unsupported_value', /requried/],
    [{ guided_json: '{' }, 'guided_json', 'invalid_value', /is not JSON/],
    [{ response_format: { type: 'xml' } }, 'response_format.type', 'invalid_value', /"json_schema"/],
    [
      { response_format: { type: 'json_schema' } },
      'response_format.json_schema',
      'missing_required_parameter',
      /json_schema/,
    ],
    [
      { response_format: { type: 'json_schema', json_schema: { name: 'a b' } } },
      'response_format.json_schema.name',
      'invalid_value',
      /letters/,
    ],
    [{ structured_outputs: { regex: 'a' } }, 'structured_outputs.regex', 'unknown_parameter', /regex/],
    [
      { response_format: { type: 'json_object', schema: SCHEMA } },
      'response_format.schema',
      'invalid_value',
      /response_format\.json_schema\.schema/,
    ],
    [
      { response_format: { type: 'json_schema', schema: SCHEMA, json_schema: { name: 'a' } } },
      'response_format.schema',
      'invalid_value',
      /response_format\.json_schema\.schema/,
    ],
    [
      { response_format: { type: 'json_schema', json_schema: { name: 'a', shcema: {} } } },
      'response_format.json_schema.shcema',
      'unknown_parameter',
      /shcema/,
    ],
    [{ ...withSchema(SCHEMA), allowed_token_ids: [1] }, 'allowed_token_ids', 'invalid_value', /together/],
    [{ add_generation_prompt: false }, 'add_generation_prompt', 'unsupported_value', /expected true/],
    [{ transforms: ['middle-out'] }, 'transforms', 'unsupported_value', /empty/],
    [{ guided_json: {}, response_format: { type: 'json_object' } }, 'guided_json', 'invalid_value', /leave one out/],
  ])('%j', async (more, param, code, message) => {
    const error = await refused(more);
    expect(error).toMatchObject({ param, code });
    expect(error.message).toMatch(message);
  });

  test('a schema that is too large or too deep', async () => {
    let deep: object = { type: 'string' };
    for (let i = 0; i < 70; i++) deep = { type: 'array', items: deep };
    expect((await refused(withSchema(deep))).message).toMatch(/in each other/);
    const wide = Object.fromEntries(Array.from({ length: 2001 }, (_, i) => [`p${i}`, {}]));
    expect((await refused(withSchema({ type: 'object', properties: wide }))).message).toMatch(/2001 properties/);
    const long = withSchema({ description: 'x'.repeat(100_001) });
    expect((await refused(long)).message).toMatch(/at most 100000/);
    const hard = withSchema({ type: 'string', pattern: '^(a?b?c?d?){900}.{900}$' });
    expect((await refused(hard)).message).toMatch(/too many states|too much work/);
  });
});

test('what a schema can make an answer say is classified like the prompt', async () => {
  const harm = '[[violence=0.9]]';
  const most = ({ body }: Awaited<ReturnType<typeof asked>>) =>
    Math.max(0, ...body.plimsoll.categories.map(({ probability }) => probability));
  const plain = most(await asked(withSchema(SCHEMA)));
  expect(plain).toBeLessThan(0.5);
  for (const schema of [
    { type: 'object', properties: { [harm]: { type: 'string' } } },
    { const: { a: harm } },
    { anyOf: [{ enum: ['x', harm] }] },
    { type: 'string', pattern: String.raw`^(?:x|\[\[violence=0\.9\]\])+$` },
    { $defs: { x: { properties: { a: { const: harm } } } }, $ref: '#/$defs/x' },
  ]) {
    expect(most(await asked(withSchema(schema))), JSON.stringify(schema)).toBeGreaterThan(0.5);
  }
});

describe('a grammar is a 400 that names its field', () => {
  test.each([
    ['response_format', withSchema(SCHEMA)],
    ['response_format', { response_format: { type: 'json_object' } }],
    ['guided_json', { guided_json: SCHEMA }],
    ['structured_outputs', { structured_outputs: { json_object: true } }],
  ])('%s, in the mode edge', async (param, more) => {
    const error = await refused({ ...more, plimsoll: { mode: 'edge' } });
    expect(error).toMatchObject({ param, code: 'unsupported_value' });
    expect(error.message).toMatch(/not supported in the mode "edge"/);
  });

  test.each([
    ['response_format', withSchema(SCHEMA)],
    ['response_format', { response_format: { type: 'json_object' } }],
    ['guided_json', { guided_json: SCHEMA }],
    ['structured_outputs', { structured_outputs: { json: SCHEMA } }],
  ])('%s, where the policy says shaping.grammar: false', async (param, more) => {
    const answer = await post(under.edge, '/v1/chat/completions', ask(more), 'pk-no-grammar');
    const { error } = (await answer.json()) as { error: { message: string; param: string; code: string } };
    expect(answer.status, JSON.stringify(error)).toBe(400);
    expect(error).toMatchObject({ param, code: 'unsupported_value' });
    expect(error.message).toMatch(/not allowed by the tenant's policy \(shaping\.grammar\)/);
    expect(under.backends[0]!.seen).toEqual([]);
  });

  test('and free text is answered there', async () => {
    const answer = await post(
      under.edge,
      '/v1/chat/completions',
      ask({ response_format: { type: 'text' } }),
      'pk-no-grammar',
    );
    expect(answer.status, await answer.text()).toBe(200);
  });
});

test('where a policy refuses what it reads, what a schema may force unread is refused, whatever unread costs', async () => {
  const together = { type: 'string', allOf: [{ pattern: '^k.l.$' }, { pattern: '^.i.l$' }] };
  const answer = await post(under.edge, '/v1/chat/completions', ask(withSchema(together)), 'pk-prices-unread');
  const { error } = (await answer.json()) as { error: { message: string; code: string } };
  expect(error.code, JSON.stringify(error)).toBe('policy_refused');
  expect(error.message).toMatch(/beyond what is read/);
  expect(under.backends[0]!.seen).toEqual([]);
  const read = await post(
    under.edge,
    '/v1/chat/completions',
    ask(withSchema({ type: 'string', pattern: '^k.l.$' })),
    'pk-prices-unread',
  );
  expect(read.status, await read.text()).toBe(200);
});

test('what a schema may force without being read counts as unread', async () => {
  const together = { type: 'string', allOf: [{ pattern: '^k.l.$' }, { pattern: '^.i.l$' }] };
  expect((await asked(withSchema(together))).body.plimsoll.unread).toBe(1);
  expect((await asked(withSchema({ type: 'string', pattern: '^k.l.$' }))).body.plimsoll.unread).toBe(0);
});
