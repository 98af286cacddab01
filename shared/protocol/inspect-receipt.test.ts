import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { expect, test } from 'vitest';
import { OPEN_LINE } from '#shared/line/line.ts';
import { type CachedReceipt, digestOfMessages, signEdgeReceipt } from './edge-receipt.ts';
import { grammarDigest } from './grammar-digest.ts';
import { type Inspection, inspectReceipt } from './inspect-receipt.ts';
import { type Receipt, signReceipt } from './receipt.ts';
import { sha256Hex } from './sha256.ts';

async function createKey(kid: string) {
  const { privateKey, publicKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  return { privateKey, kid, jwks: { keys: [{ ...(await exportJWK(publicKey)), kty: 'OKP', kid }] } };
}
const key = await createKey('k1');
const { jwks } = key;

const MESSAGES = [{ role: 'user' as const, content: 'Hello' }];
/** What the edge sends for it, written out by hand: the digest is of exactly these bytes. */
const SENT =
  '{"model":"m","messages":[{"role":"user","content":"Hello"}],"max_tokens":2,"stop":[],"seed":9007199254740993,"temperature":0.7,"top_p":0.9,"top_k":40}'.replace(
    '9007199254740993',
    '"9007199254740993"',
  );

const RECEIPT: Receipt = {
  request: 'req_1',
  directive: '11111111-1111-4111-8111-111111111111',
  tenant: 'acme',
  key: 'main',
  policy: '0123456789abcdef',
  classifier: 'c1',
  model: 'm',
  bundle: 'b',
  experts: { safety: { kind: 'adapter' }, helpfulness: { kind: 'adapter' } },
  backend: 'backend-0',
  parts: [],
  draws: '01234567',
  line: { ...OPEN_LINE, floor: 0.5, budget: 2 },
  second_look: null,
  top_k: null,
  weights: { min: 0.5, mean: 0.75, max: 1 },
  spent: 1.5,
  ran: { safety: 2, helpfulness: 2 },
  usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
  finish_reason: 'length',
  choice: 0,
  choices: 1,
  seed: '9007199254740993',
  sampling: { temperature: 0.7, top_p: 0.9, top_k: 40, min_p: 0, repetition_penalty: 1 },
  prompt_digest: await sha256Hex(SENT),
  answer_digest: await sha256Hex('Hi there'),
};

const sign = (changes: Partial<Receipt> = {}) => signReceipt({ ...RECEIPT, ...changes }, key);
const failed = ({ checks }: Inspection) => checks.filter(({ verdict }) => verdict === 'fails').map(({ name }) => name);

test.each([
  ['the bytes themselves', SENT],
  ['a request that leaves out what the edge fills in', '{"model":"m","messages":[{"role":"user","content":"Hello"}]}'],
  [
    'a request that names the same seed',
    '{"seed":9007199254740993,"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"Hello"}]}]}',
  ],
  [
    'a request for more tokens than the policy allows',
    '{"model":"m","max_tokens":500,"messages":[{"role":"user","content":"Hello"}]}',
  ],
])('takes %s for the prompt', async (_what, prompt) => {
  expect(failed(await inspectReceipt(await sign(), { jwks, prompt, answer: 'Hi there' }))).toEqual([]);
});

test.each([
  ['another message', '{"model":"m","messages":[{"role":"user","content":"Hello!"}]}'],
  ['another seed', '{"model":"m","seed":9007199254740992,"messages":[{"role":"user","content":"Hello"}]}'],
  ['another temperature', '{"model":"m","temperature":1,"messages":[{"role":"user","content":"Hello"}]}'],
  ['no request', 'Hello'],
])('does not take %s for the prompt', async (_what, prompt) => {
  const found = await inspectReceipt(await sign(), { jwks, prompt });
  expect(failed(found)).toEqual(['prompt']);
  expect(found.genuine).toBe(false);
});

test("an answer that ended by itself is held against the limit that was in force, the policy's too", async () => {
  const asked = (changes: object = {}) => JSON.stringify({ model: 'm', messages: MESSAGES, ...changes });
  const stopped = async (limit: number | null, changes: Partial<Receipt> = {}) =>
    sign({
      finish_reason: 'stop',
      max_tokens: limit,
      prompt_digest: await sha256Hex(SENT.replace('"max_tokens":2', `"max_tokens":${limit}`)),
      ...changes,
    });
  const check = async (token: string, prompt: string) => failed(await inspectReceipt(token, { jwks, prompt }));
  expect(await check(await stopped(256), asked())).toEqual([]);
  expect(await check(await stopped(256), asked({ max_tokens: 500 }))).toEqual([]);
  expect(await check(await stopped(null), asked())).toEqual([]);
  expect(await check(await stopped(256), asked({ max_tokens: 100 }))).toEqual(['prompt']);
  expect(await check(await stopped(null), asked({ max_tokens: 100 }))).toEqual(['prompt']);
  // The receipt's own word for the limit has to be the one that the digest covers.
  expect(await check(await stopped(256, { max_tokens: 255 }), asked())).toEqual(['prompt']);
});

test('an answer may have the line end that an editor adds, and nothing else', async () => {
  const token = await sign();
  const check = async (answer: string) => failed(await inspectReceipt(token, { jwks, answer }));
  expect(await check('Hi there\n')).toEqual([]);
  expect(await check('Hi there\r\n')).toEqual([]);
  expect(await check('Hi there\n\n')).toEqual(['answer']);
  expect(await check('Hi there!')).toEqual(['answer']);
});

test.each<[string, Partial<Receipt>]>([
  ['a weight below the floor', { weights: { min: 0.4, mean: 0.7, max: 1 } }],
  ['more spent than the budget', { spent: 2.1 }],
  ['a safety expert that was not asked', { ran: { safety: 1, helpfulness: 2 } }],
])('a receipt that is signed and says %s is not genuine', async (_what, changes) => {
  expect(failed(await inspectReceipt(await sign(changes), { jwks }))).toEqual(['line']);
});

test('a refusal by the second look is for no text, whatever sentence the client read', async () => {
  const none = { min: 0, mean: 0, max: 0 };
  const refusal = {
    finish_reason: 'content_filter' as const,
    weights: none,
    spent: 0,
    ran: {},
    usage: { prompt_tokens: 1, completion_tokens: 0, total_tokens: 1 },
  };
  const token = await sign({ ...refusal, answer_digest: await sha256Hex('') });
  expect((await inspectReceipt(token, { jwks, answer: 'This request was refused.' })).genuine).toBe(true);
  const odd = await sign(refusal);
  expect(failed(await inspectReceipt(odd, { jwks, answer: 'This request was refused.' }))).toEqual(['answer']);
});

test("the edge's receipt is held against the conversation and the sentence", async () => {
  const text = 'This request was refused.';
  const token = await signEdgeReceipt(
    {
      kind: 'refusal',
      request: 'req_1',
      tenant: 'acme',
      key: 'main',
      policy: '0',
      classifier: 'c1',
      because: null,
      messages_digest: await digestOfMessages(MESSAGES),
      text_digest: await sha256Hex(text),
    },
    key,
  );
  const prompt = JSON.stringify({ model: 'any', temperature: 0, messages: MESSAGES });
  const found = await inspectReceipt(token, { jwks, prompt, answer: text });
  expect(found).toMatchObject({ genuine: true, kind: 'refusal' });
  const other = { jwks, prompt: prompt.replace('Hello', 'Hullo'), answer: `${text} ` };
  expect(failed(await inspectReceipt(token, other))).toEqual(['prompt', 'answer']);
});

test("the edge's receipt names the grammar whose words were refused", async () => {
  const format = (word: string) => ({
    type: 'json_schema',
    json_schema: { name: 'a', schema: { const: word } },
  });
  const token = await signEdgeReceipt(
    {
      kind: 'refusal',
      ...{ request: 'req_1', tenant: 'acme', key: 'main', policy: '0', classifier: 'c1', because: null },
      grammar: await grammarDigest({ type: 'json_schema', schema: '{"const":"harm"}' }),
      messages_digest: await digestOfMessages(MESSAGES),
      text_digest: await sha256Hex(''),
    },
    key,
  );
  const asked = (more: object) => JSON.stringify({ model: 'any', messages: MESSAGES, ...more });
  const holds = async (more: object) => failed(await inspectReceipt(token, { jwks, prompt: asked(more) }));
  expect(await holds({ response_format: format('harm') })).toEqual([]);
  expect(await holds({ response_format: format('help') })).toEqual(['prompt']);
  expect(await holds({})).toEqual(['prompt']);
});

test('a cached answer is held against the receipt of the request that it was made for', async () => {
  const first = await sign({ finish_reason: 'stop' });
  const sealed = async (changes: Partial<CachedReceipt> = {}) =>
    signEdgeReceipt(
      {
        kind: 'cached',
        how: 'hit',
        request: 'req_2',
        tenant: 'acme',
        key: 'main',
        policy: RECEIPT.policy,
        classifier: 'c1',
        messages_digest: await digestOfMessages(MESSAGES),
        first: { request: 'req_1', receipt_digest: await sha256Hex(first) },
        answer_digest: RECEIPT.answer_digest,
        ...changes,
      },
      key,
    );
  const prompt = JSON.stringify({ model: 'm', temperature: 0, messages: MESSAGES });
  const evidence = { jwks, prompt, answer: 'Hi there', first };
  const found = await inspectReceipt(await sealed(), evidence);
  expect(found).toMatchObject({ genuine: true, kind: 'cached', receipt: { request: 'req_2' } });
  expect(found.checks.map(({ name, verdict }) => `${name} ${verdict}`)).toEqual([
    'form holds',
    'signature holds',
    'content holds',
    'prompt holds',
    'answer holds',
    'line holds',
    'first holds',
  ]);
  const alone = await inspectReceipt(await sealed(), { jwks });
  expect(alone.genuine).toBe(true);
  expect(alone.checks.at(-1)).toMatchObject({ name: 'first', verdict: 'not checked' });

  const other = await sign({ finish_reason: 'stop', spent: 0 });
  const foreign = await signReceipt(RECEIPT, await createKey('k2'));
  const digestOf = async (token: string) => ({ first: { request: 'req_1', receipt_digest: await sha256Hex(token) } });
  for (const [token, changed, names] of [
    [await sealed(), { first: other }, ['first']],
    [await sealed(await digestOf(foreign)), { first: foreign }, ['first']],
    [await sealed({ tenant: 'other' }), {}, ['first']],
    [await sealed({ policy: 'other' }), {}, ['first']],
    [await sealed(), { prompt: prompt.replace('Hello', 'Hullo') }, ['prompt']],
    [await sealed(), { answer: 'Hi' }, ['answer', 'first']],
  ] as const) {
    expect(failed(await inspectReceipt(token, { ...evidence, ...changed }))).toEqual(names);
  }
});

test('says what is wrong with a token before anything in it is believed', async () => {
  const genuine = await sign();
  const [head, , signature] = genuine.split('.');
  const changed = [head, (await sign({ spent: 0 })).split('.')[1], signature].join('.');
  const foreign = await signReceipt(RECEIPT, await createKey('k2'));
  const sameName = await signReceipt(RECEIPT, await createKey('k1'));
  // The cast: a faulty backend may sign what the type forbids.
  const odd = await sign({ spent: 'much' } as unknown as Partial<Receipt>);
  const asEdge = await new SignJWT({ ...RECEIPT })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'plimsoll-edge-receipt+jwt', kid: 'k1' })
    .setIssuer('plimsoll-backend')
    .sign(key.privateKey);
  for (const [token, name, detail] of [
    ['noise', 'form', /not a receipt/],
    [await new SignJWT({}).setProtectedHeader({ alg: 'EdDSA' }).sign(key.privateKey), 'form', /not a receipt/],
    [changed, 'signature', /not signed by the key k1/],
    [foreign, 'signature', /the key set has no key k2/],
    [sameName, 'signature', /not signed by the key k1/],
    [odd, 'content', /spent/],
    [asEdge, 'content', /iss/],
  ] as const) {
    const found = await inspectReceipt(token, { jwks, prompt: SENT, answer: 'Hi there' });
    expect(found).toMatchObject({ genuine: false, receipt: null });
    expect(failed(found)).toEqual([name]);
    expect(found.checks.find(({ verdict }) => verdict === 'fails')!.detail).toMatch(detail);
  }
});
