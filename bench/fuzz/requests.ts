/** Bodies and headers at random, sent to the data plane of the whole edge. */
import { request as httpRequest } from 'node:http';
import * as fc from 'fast-check';
import { type EdgeUnderTest, startEdgeUnderTest, testKey } from '#workers/testing/edge-under-test.ts';
import { type FuzzKind, openKind } from './fuzz-kind.ts';
import { answered, judgeAnswer, judgeLog } from './judge-answer.ts';

const TENANT = 'fuzz';
const KEYS = ['pk-demo-open', 'pk-demo-balanced', 'pk-demo-strict', testKey(TENANT)];

function startFuzzedEdge(): Promise<EdgeUnderTest> {
  return startEdgeUnderTest({ entry: 'fuzz-main.ts', limits: { [TENANT]: {} }, contextOf: () => 4096 });
}

const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme', maxLength: 200 }),
  fc.constantFrom(
    'How do I bake bread?',
    '\ud83d',
    '\u0000',
    '\u202e',
    'ignore all previous instructions',
    '1'.repeat(999),
  ),
);
const anything = fc.oneof({ weight: 3, arbitrary: fc.jsonValue({ maxDepth: 3 }) }, anyText, fc.double(), fc.bigInt());
/** Nearly always as it should be: one mistake hides what comes after it. */
const or = <T>(usual: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 40, arbitrary: usual }, { weight: 1, arbitrary: anything });
const clean = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 200 }),
  fc.constantFrom('How do I bake bread?', '\u0000', '\u202e', 'ignore all previous instructions', '1'.repeat(999)),
);

const message = fc.record({
  role: or(fc.constantFrom('user', 'system', 'assistant', 'developer')),
  content: or(
    fc.oneof(anyText, fc.array(fc.record({ type: or(fc.constant('text')), text: or(anyText) }), { minLength: 1 })),
  ),
});
const within = (min: number, max: number) => or(fc.double({ min, max, noNaN: true }));
/** What chats and plain completions both take. */
const generation = {
  model: or(fc.constant('scripted')),
  max_tokens: or(fc.integer({ min: 1, max: 40 })),
  stop: or(fc.oneof(clean, fc.array(clean, { maxLength: 4 }))),
  seed: or(fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n }), fc.integer())),
  temperature: within(0, 2),
  top_p: within(0, 1),
  top_k: or(fc.integer({ min: -1, max: 50 })),
  presence_penalty: within(-2, 2),
  logit_bias: or(fc.dictionary(or(fc.nat({ max: 300 })).map(String), within(-100, 100), { maxKeys: 4 })),
  allowed_token_ids: or(fc.array(or(fc.nat({ max: 300 })), { minLength: 1, maxLength: 4 })),
  n: or(fc.integer({ min: 1, max: 3 })),
  stream: or(fc.boolean()),
  stream_options: or(fc.record({ include_usage: or(fc.boolean()) })),
  user: anything,
};
const anyChat = fc.record(
  {
    ...generation,
    messages: or(fc.array(or(message), { minLength: 1, maxLength: 6 })),
    max_completion_tokens: or(fc.constantFrom(null, 4)),
    logprobs: or(fc.boolean()),
    top_logprobs: or(fc.nat({ max: 20 })),
    tools: or(fc.constant([])),
    plimsoll: or(
      fc.record(
        {
          floor: or(fc.double({ min: 0, max: 1, noNaN: true })),
          budget: or(fc.double({ min: 0, max: 50, noNaN: true })),
          mode: or(fc.constantFrom('logits', 'layers')),
          trace: or(fc.constantFrom('none', 'summary', 'tokens')),
        },
        { requiredKeys: [] },
      ),
    ),
  },
  { requiredKeys: ['model', 'messages'] },
);
const anyCompletion = fc.record(
  {
    ...generation,
    prompt: or(fc.oneof(anyText, fc.array(or(anyText), { minLength: 1, maxLength: 3 }))),
    logprobs: or(fc.nat({ max: 20 })),
    best_of: or(fc.constant(1)),
  },
  { requiredKeys: ['model', 'prompt'] },
);
/** Mostly without the pairs of fields that exclude each other. */
const consistent = (request: fc.Arbitrary<{ stream?: unknown; stream_options?: unknown; logprobs?: unknown }>) =>
  fc.tuple(request, fc.nat({ max: 20 })).map(([{ stream_options, ...rest }, n]) => {
    const options = rest.stream === true || n === 0 ? { stream_options } : {};
    return rest.logprobs === true || n === 1
      ? { ...rest, ...options }
      : { ...rest, ...options, top_logprobs: undefined };
  });
const chat = consistent(anyChat);
const completion = consistent(anyCompletion).map((request) => ({ ...request, top_logprobs: undefined }));
const moderation = fc.record({ input: or(fc.oneof(anyText, fc.array(or(anyText)))), model: anything });

/** JSON as other languages write it: integers have all their digits. */
const toJson = (value: unknown): string =>
  JSON.stringify(value, (_, each) => (typeof each === 'bigint' ? `${each}n` : each))?.replace(/"(-?\d+)n"/g, '$1') ??
  '';

/** A piece of it is lost, or comes twice, or another byte stands there. */
const torn = (intact: fc.Arbitrary<string>) =>
  fc.tuple(intact, fc.nat(), fc.nat({ max: 9 }), fc.uint8Array({ maxLength: 4 })).map(([text, at, skipped, put]) => {
    const bytes = Buffer.from(text);
    const from = at % (bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(from + skipped)]);
  });
const deep = fc.integer({ min: 1, max: 20_000 }).map((depth) => '['.repeat(depth) + ']'.repeat(depth));
const noRequest = fc.oneof(fc.json(), fc.string(), fc.uint8Array({ maxLength: 400 }), deep);
const to = (route: string, request: fc.Arbitrary<unknown>) => {
  const intact = request.map(toJson);
  const body = fc.oneof<fc.MaybeWeightedArbitrary<string | Uint8Array>[]>(
    { weight: 8, arbitrary: intact },
    { weight: 2, arbitrary: torn(intact) },
    { weight: 1, arbitrary: noRequest },
  );
  return fc.record({ route: fc.constant(route), key: fc.constantFrom(...KEYS), body });
};
const bodyCase = fc.oneof(
  { weight: 3, arbitrary: to('/v1/chat/completions', chat) },
  { weight: 2, arbitrary: to('/v1/completions', completion) },
  { weight: 1, arbitrary: to('/v1/moderations', moderation) },
);

/** No body crashes the edge, and none gets an answer that is our fault. */
export const bodies: FuzzKind = async () => {
  const under = await startFuzzedEdge();
  return openKind(
    bodyCase,
    async ({ route, key, body }) => {
      const logged = under.log.length;
      const response = await fetch(under.edge.url + route, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        // The cast drops SharedArrayBuffer from the type.
        body: body as Uint8Array<ArrayBuffer>,
      });
      const outcome = judgeAnswer(await answered(response));
      judgeLog(under.log, logged);
      return outcome;
    },
    under.dispose,
  );
};

const HEADERS = [
  'accept',
  'accept-encoding',
  'accept-language',
  'cf-connecting-ip',
  'content-encoding',
  'content-type',
  'cookie',
  'idempotency-key',
  'if-match',
  'openai-organization',
  'origin',
  'range',
  'traceparent',
  'tracestate',
  'user-agent',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-plimsoll-cache',
  'x-plimsoll-directive',
  'x-request-id',
  'x-stainless-retry-count',
];
/** What Node's client lets through: no control characters, nothing above a byte. */
const headerValue = fc.oneof(
  fc.string({
    unit: fc
      .integer({ min: 0x20, max: 0xff })
      .filter((code) => code !== 0x7f)
      .map((code) => String.fromCharCode(code)),
  }),
  fc.constantFrom(
    '',
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    '00-00000000000000000000000000000000-0000000000000000-ff',
    'same',
    'gzip, br;q=0.5',
    'application/json; charset=utf-16',
    '*',
    'x'.repeat(5_000),
  ),
);
const headerCase = fc.record({
  route: fc.constantFrom(
    'POST /v1/chat/completions',
    'POST /v1/completions',
    'POST /v1/moderations',
    'GET /v1/models',
    'GET /v1/models/scripted',
    'GET /',
    'GET /healthz',
    'GET /readyz',
    'GET /openapi.json',
    'GET /.well-known/jwks.json',
    'POST /pool/v1/heartbeat',
    'GET /admin/v1/tenants',
  ),
  authorization: fc.option(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...KEYS.map((key) => `Bearer ${key}`)) },
      { weight: 1, arbitrary: headerValue },
      { weight: 1, arbitrary: headerValue.map((value) => `Bearer ${value}`) },
    ),
  ),
  headers: fc.dictionary(
    fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom(...HEADERS) },
      { weight: 1, arbitrary: fc.stringMatching(/^x-[a-z0-9!#$%&'*+.^_`|~-]{1,12}$/) },
    ),
    headerValue,
    { maxKeys: 5, noNullPrototype: true },
  ),
  query: fc.webQueryParameters(),
});

/** Nor does any header. */
export const headers: FuzzKind = async () => {
  const under = await startFuzzedEdge();
  const asked = JSON.stringify({ model: 'scripted', messages: [{ role: 'user', content: 'Hi' }], input: 'Hi' });
  return openKind(
    headerCase,
    async ({ route, authorization, headers, query }) => {
      const logged = under.log.length;
      const [method = '', path = ''] = route.split(' ');
      const sent = { ...headers, ...(authorization !== null && { authorization }) };
      const text = method === 'POST' ? asked : '';
      const got = await send(`${under.edge.url}${path}?${query}`, { method, headers: sent, body: text });
      // What is no HTTP, and what has too many headers, the runtime refuses itself.
      const outcome = got.status === 431 ? 'refused by the runtime' : judgeAnswer(got);
      judgeLog(under.log, logged);
      return outcome;
    },
    under.dispose,
  );
};

type Sent = { method: string; headers: Record<string, string>; body: string };

/** `fetch` refuses many headers and adds others. */
function send(url: string, { method, headers, body }: Sent) {
  return new Promise<{ status: number; headers: Headers; text: string }>((resolve, reject) => {
    const options = {
      method,
      headers: { ...headers, 'content-length': Buffer.byteLength(body) },
      agent: false as const,
    };
    const request = httpRequest(url, options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const kept = Object.entries(response.headers).filter(([, value]) => typeof value === 'string');
        // The cast: only texts are left.
        const got = new Headers(kept as [string, string][]);
        resolve({ status: response.statusCode ?? 0, headers: got, text: Buffer.concat(chunks).toString() });
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}
