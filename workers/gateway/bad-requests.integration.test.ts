/**
 * Mistakes of the caller. Each gets OpenAI's error shape, the name of the field and a request id.
 */
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ERROR_CODES, type ErrorBody, type ErrorCode } from '#shared/api/errors.ts';
import {
  ask,
  type EdgeUnderTest,
  eventually,
  OPERATOR_KEY,
  openaiClient,
  post,
  startEdgeUnderTest,
} from '../testing/edge-under-test.ts';

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest();
});
afterAll(() => under.dispose());

async function expectError(answer: Response, expected: Partial<ErrorBody['error']>): Promise<ErrorBody['error']> {
  expect(answer.headers.get('x-request-id')).toMatch(/^req_[0-9a-f]{32}$/);
  expect(answer.headers.get('content-type')).toBe('application/json');
  const { error, ...rest } = (await answer.json()) as ErrorBody;
  expect(rest).toEqual({});
  expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type']);
  expect(error).toMatchObject(expected);
  const { status, type } = ERROR_CODES[error.code];
  expect([answer.status, error.type]).toEqual([status, type]);
  return error;
}

describe('an invalid chat request is refused, and the error names the field', () => {
  const user = { role: 'user', content: 'Hi' };
  test.each<[string, unknown, string | null, RegExp]>([
    ['no body', '', null, /JSON/],
    ['broken JSON', '{"model": "scripted", ', null, /JSON/],
    ['a body that is not an object', [1, 2], null, /the request body.*expected an object, found an array of 2/],
    ['no model', { messages: [user] }, 'model', /Missing required field 'model'/],
    ['no messages', { model: 'scripted' }, 'messages', /Missing required field 'messages': expected an array/],
    ['empty messages', { model: 'scripted', messages: [] }, 'messages', /at least 1 element, found an array of 0/],
    ['a wrong type', { ...ask('Hi'), temperature: 'hot' }, 'temperature', /expected a number, found "hot"/],
    ['a value too large', { ...ask('Hi'), temperature: 3 }, 'temperature', /at most 2, found 3/],
    ['a value too small', { ...ask('Hi'), max_tokens: 0 }, 'max_tokens', /at least 1, found 0/],
    ['a fraction of a token', { ...ask('Hi'), max_completion_tokens: 1.5 }, 'max_completion_tokens', /integer/],
    ['a seed out of range', { ...ask('Hi'), seed: 1e300 }, 'seed', /'seed'/],
    ['an unknown role', { model: 'scripted', messages: [{ ...user, role: 'poet' }] }, 'messages[0].role', /"user"/],
    ['no content', { model: 'scripted', messages: [user, { role: 'user' }] }, 'messages[1].content', /content/],
    ['a number as content', { model: 'scripted', messages: [{ ...user, content: 5 }] }, 'messages[0].content', /5/],
    [
      'an image',
      { model: 'scripted', messages: [{ ...user, content: [{ type: 'image_url', image_url: { url: 'x' } }] }] },
      'messages[0].content[0].type',
      /expected "text", found "image_url"/,
    ],
    ['too many stops', { ...ask('Hi'), stop: ['1', '2', '3', '4', '5'] }, 'stop', /at most 4 elements/],
    ['half an emoji as a stop', { ...ask('Hi'), stop: ['ok', '\ude00x'] }, 'stop[1]', /lone surrogates/],
    ['half an emoji as a model', { ...ask('Hi'), model: 'a\ud83d' }, 'model', /lone surrogates/],
    ['an empty stop', { ...ask('Hi'), stop: [''] }, 'stop[0]', /at least 1 character/],
    ['stream as a string', { ...ask('Hi'), stream: 'yes' }, 'stream', /expected a boolean, found "yes"/],
    ['stream options without a stream', { ...ask('Hi'), stream_options: {} }, 'stream_options', /stream/],
    ['a floor out of range', { ...ask('Hi'), plimsoll: { floor: 1.5 } }, 'plimsoll.floor', /at most 1, found 1.5/],
    ['a floor that is not a number', { ...ask('Hi'), plimsoll: { floor: '1' } }, 'plimsoll.floor', /expected a number/],
    ['a misspelt floor', { ...ask('Hi'), plimsoll: { flor: 1 } }, 'plimsoll.flor', /Unknown field 'plimsoll.flor'/],
    ['an unknown trace', { ...ask('Hi'), plimsoll: { trace: 'all' } }, 'plimsoll.trace', /"none" or "summary"/],
    [
      'an unknown mode',
      { ...ask('Hi'), plimsoll: { mode: 'cloud' } },
      'plimsoll.mode',
      /"logits" or "layers" or "edge", found "cloud"/,
    ],
    ['an extension that is not an object', { ...ask('Hi'), plimsoll: true }, 'plimsoll', /expected an object/],
  ])('%s', async (_name, body, param, message) => {
    const answer = await post(under.edge, '/v1/chat/completions', body);
    expect((await expectError(answer, { param })).message).toMatch(message);
    expect(answer.status).toBe(400);
  });

  test.each<[string, unknown]>([
    ['best_of', 2],
    ['echo', true],
    ['modalities', ['text', 'audio']],
    ['reasoning_effort', 'high'],
    ['verbosity', 'low'],
    ['stop_token_ids', [7]],
    ['bad_words', ['no']],
    ['chat_template_kwargs', { thinking: true }],
    ['length_penalty', 2],
    ['use_beam_search', true],
    ['return_tokens_as_token_ids', true],
    ['audio', { voice: 'alloy' }],
    ['prediction', { type: 'content' }],
    ['web_search_options', {}],
    ['moderation', {}],
    ['reasoning', {}],
    ['guided_regex', 'a*'],
    ['chat_template', '{{ 1 }}'],
    ['prompt_logprobs', 1],
  ])('%s is refused, not ignored, because it cannot be honoured', async (param, value) => {
    const answer = await post(under.edge, '/v1/chat/completions', { ...ask('Hi'), [param]: value });
    const { code, message } = await expectError(answer, { param });
    expect(message).toMatch(/not supported/);
    expect(code).toBe(
      /^(audio|prediction|web_search_options|moderation|reasoning|guided_\w+|chat_template|prompt_logprobs)$/.test(
        param,
      )
        ? 'unsupported_parameter'
        : 'unsupported_value',
    );
  });

  test.each<[string, unknown, RegExp]>([
    ['temprature', 0, /Did you mean 'temperature'/],
    ['max_token', 5, /Did you mean 'max_tokens'/],
    ['tempreature', 0, /Did you mean 'temperature'/],
    ['of_the_future', { a: 1 }, /'of_the_future'\. A field that this server does not know/],
  ])('%s is unknown, and nobody knows what it would change', async (param, value, message) => {
    const answer = await post(under.edge, '/v1/chat/completions', { ...ask('Hi'), [param]: value });
    const error = await expectError(answer, { param, code: 'unknown_parameter' });
    expect(error.message).toMatch(message);
  });

  const parts = (part: object) => ({ role: 'user', content: [{ type: 'text', text: 'What is this?' }, part] });
  test.each<[string, object, string, RegExp]>([
    [
      'an image',
      parts({ type: 'image_url', image_url: { url: 'https://a.example/b.png' } }),
      'content[1].type',
      /^Images/,
    ],
    ['sound', parts({ type: 'input_audio', input_audio: { data: '', format: 'wav' } }), 'content[1].type', /^Sounds/],
    ['a file', parts({ type: 'file', file: { file_id: 'f' } }), 'content[1].type', /^Files/],
    ['half a call', { role: 'assistant', content: 'x', tool_calls: [{ id: 'c' }] }, 'tool_calls[0].type', /type/],
    ['an answer in sound', { role: 'assistant', content: 'x', audio: { id: 'a' } }, 'audio', /not supported/],
    ['a misspelt field', { role: 'user', content: 'x', prefix: true }, 'prefix', /Unrecognized/],
  ])('%s in a message is refused by name', async (_name, message, field, text) => {
    const answer = await post(under.edge, '/v1/chat/completions', { model: 'scripted', messages: [user, message] });
    const error = await expectError(answer, { param: `messages[1].${field}` });
    expect(error.message).toMatch(text);
    expect(answer.status).toBe(400);
  });

  test.each<[string, unknown]>([
    ['missing_required_parameter', { messages: [user] }],
    ['unknown_parameter', { ...ask('Hi'), plimsoll: { flor: 1 } }],
    ['invalid_type', { ...ask('Hi'), temperature: 'hot' }],
    ['invalid_type', { ...ask('Hi'), max_tokens: 1.5 }],
    ['invalid_type', { model: 'scripted', messages: 'Hi' }],
    ['invalid_value', { model: 'scripted', messages: [{ ...user, role: 'poet' }] }],
    ['invalid_value', { ...ask('Hi'), stream_options: {} }],
    ['invalid_value', { ...ask('Hi'), top_logprobs: 2 }],
    ['integer_below_min_value', { ...ask('Hi'), n: 0 }],
    ['integer_above_max_value', { ...ask('Hi'), n: 129 }],
    ['integer_above_max_value', { ...ask('Hi'), logprobs: true, top_logprobs: 21 }],
    ['decimal_above_max_value', { ...ask('Hi'), presence_penalty: 3 }],
    ['decimal_below_min_value', { ...ask('Hi'), logit_bias: { 7: -101 } }],
    ['invalid_type', { ...ask('Hi'), logprobs: 5 }],
    ['unknown_parameter', { ...ask('Hi'), stream: true, stream_options: { usage: true } }],
    ['decimal_above_max_value', { ...ask('Hi'), temperature: 3 }],
    ['decimal_below_min_value', { ...ask('Hi'), plimsoll: { floor: -1 } }],
    ['integer_below_min_value', { ...ask('Hi'), max_tokens: 0 }],
    ['integer_above_max_value', { ...ask('Hi'), seed: 1e300 }],
    ['empty_array', { model: 'scripted', messages: [] }],
    ['array_above_max_length', { ...ask('Hi'), stop: ['1', '2', '3', '4', '5'] }],
    ['string_below_min_length', { ...ask('Hi'), stop: [''] }],
  ])("with OpenAI's code: %s, %o", async (code, body) => {
    await expectError(await post(under.edge, '/v1/chat/completions', body), { code: code as ErrorCode });
  });

  test('without echoing a long value', async () => {
    const answer = await post(under.edge, '/v1/chat/completions', { ...ask('Hi'), temperature: 'x'.repeat(5000) });
    expect((await expectError(answer, { param: 'temperature' })).message).toMatch(/a string of 5000 characters\.$/);
  });
});

test('a body that is not UTF-8 is refused as invalid JSON', async () => {
  const [before, after] = JSON.stringify(ask('A?B')).split('?') as [string, string];
  for (const bytes of [[0xff], [0xed, 0xa0, 0x80], [0xc3]]) {
    const body = Buffer.concat([Buffer.from(before), Buffer.from(bytes), Buffer.from(after)]);
    const answer = await fetch(`${under.edge.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: 'Bearer pk-demo-open' },
      body,
    });
    expect((await expectError(answer, { code: 'invalid_json' })).message).toMatch(/UTF-8/);
  }
});

describe('an incomplete body', () => {
  /**
   * Returns what comes back for headers that announce a thousand bytes, followed by a body of only
   * a few.
   */
  function half(key: string, { route = 'POST /v1/chat/completions', cut = false } = {}): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(Number(new URL(under.edge.url).port), '127.0.0.1');
      let heard = '';
      socket.on('data', (chunk) => {
        heard += chunk;
      });
      socket.on('error', reject);
      socket.on('close', () => resolve(heard));
      const head = [`${route} HTTP/1.1`, 'Host: localhost', `Authorization: Bearer ${key}`];
      socket.write(`${[...head, 'Content-Length: 1000'].join('\r\n')}\r\n\r\n{"model":`);
      if (cut) setTimeout(() => socket.destroy(), 100);
    });
  }

  const ROUTES = [
    ['POST /v1/chat/completions', 'pk-demo-open'],
    ['POST /v1/completions', 'pk-demo-open'],
    ['POST /v1/moderations', 'pk-demo-open'],
    ['PUT /admin/v1/tenants/acme', OPERATOR_KEY],
    ['POST /admin/v1/pool/drain', OPERATOR_KEY],
  ] as const;

  test.each(ROUTES)('times out on %s with a 408 that closes the connection', async (route, key) => {
    expect(await half(key, { route })).toMatch(/^HTTP\/1.1 408 .*"code":"request_timeout"/s);
  });
  test.each(ROUTES)('with a wrong key is refused on %s without waiting for the body', async (route) => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => half('pk-wrong', { route })));
    for (const answer of answers) expect(answer).toMatch(/^HTTP\/1.1 401 .*"code":"invalid_api_key"/s);
  });
  test('is logged as a cut request, not as our own error', async () => {
    const before = under.log.length;
    await half('pk-demo-open', { cut: true });
    await eventually(
      () => under.log.slice(before),
      (lines) => lines.some((line) => line.includes('"request-cut"')),
    );
    const lines = under.log.slice(before);
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 'info', bytes: 9 });
  });
});

test.each([
  ['no input', {}, 'input'],
  ['an empty list', { input: [] }, 'input'],
  ['an image', { input: [{ type: 'image_url' }] }, 'input[0].type'],
  ['too many', { input: Array.from({ length: 129 }, () => 'a') }, 'input'],
])('a moderation request with %s is refused, and the error names the field', async (_name, body, param) => {
  await expectError(await post(under.edge, '/v1/moderations', body), { param });
});

test.each<[string, unknown, RegExp]>([
  ['one text', 'x'.repeat(64_001), /at most 64000 characters/],
  ['one text of a list', ['short', 'x'.repeat(64_001)], /at most 64000 characters/],
  ['all texts together', Array.from({ length: 100 }, () => 'x'.repeat(1_300)), /at most 128000 characters in all/],
  [
    'all parts together',
    Array.from({ length: 3 }, () => ({ type: 'text', text: 'x'.repeat(30_000) })),
    /at most 64000 characters together/,
  ],
  ['the number of texts', Array.from({ length: 129 }, () => 'a'), /at most 128 elements/],
])('a moderation request over the limit of %s is refused, naming it', async (_name, input, message) => {
  const answer = await post(under.edge, '/v1/moderations', { input });
  expect((await expectError(answer, {})).message).toMatch(message);
});

describe('keys', () => {
  test.each<[string, Record<string, string>]>([
    ['a wrong key', { authorization: 'Bearer pk-wrong' }],
    ['no key', {}],
    ['another scheme', { authorization: 'Basic cGstZGVtby1vcGVu' }],
    ["the operator's key", { authorization: 'Bearer pk-demo-operator' }],
    ["a key's digest", { authorization: `Bearer ${'0'.repeat(64)}` }],
  ])('%s is a 401 on every route that needs a key', async (_name, headers) => {
    for (const [method, route] of [
      ['POST', '/v1/chat/completions'],
      ['POST', '/v1/completions'],
      ['POST', '/v1/moderations'],
      ['POST', '/v1/responses'],
      ['GET', '/v1/responses/resp_1'],
      ['DELETE', '/v1/responses/resp_1'],
      ['GET', '/v1/responses/resp_1/input_items'],
      ['GET', '/v1/models'],
      ['GET', '/v1/models/scripted'],
    ] as const) {
      const answer = await fetch(under.edge.url + route, { method, headers });
      await expectError(answer, { code: 'invalid_api_key' });
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    }
  });
  test('a wrong key is an AuthenticationError in the openai client', async () => {
    const call = openaiClient(under.edge, 'pk-wrong').chat.completions.create(ask('Hi'));
    await expect(call).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    await expect(call).rejects.toMatchObject({ status: 401, requestID: expect.stringMatching(/^req_/) });
  });
});

test('an unknown model is a 404 that names it', async () => {
  const call = openaiClient(under.edge).chat.completions.create({ ...ask('Hi'), model: 'gpt-4o' });
  await expect(call).rejects.toMatchObject({ status: 404, code: 'model_not_found', param: 'model' });
});

test('a prompt that is too long for any tokenizer is refused before anything reads it', async () => {
  const logged = under.log.length;
  for (const content of ['[[classifier:throws]]'.padEnd(2_000, 'x'), `[[classifier:throws]]${'€'.repeat(400)}`]) {
    const answer = await post(under.edge, '/v1/chat/completions', ask(content));
    const error = await expectError(answer, { code: 'context_length_exceeded', param: 'messages' });
    expect(error.message).toMatch(/64 tokens.*at least \d+ tokens/);
  }
  expect(under.log.slice(logged).join()).not.toContain('classifier-failed');
});

test('the backend refuses a prompt that only tokenizing shows to be too long', async () => {
  const call = openaiClient(under.edge).chat.completions.create(ask('word '.repeat(100)));
  await expect(call).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded', param: 'messages' });
});

describe('routes', () => {
  test.each([
    ['/v1', /the API is under \/v1/],
    ['/v1/nothing', /the API is under \/v1/],
    ['/admin/v1/nothing', /the API is under \/v1/],
    ['/chat/completions', /did you mean \/v1\/chat\/completions\?/],
    ['/v1/chat/completions/', /did you mean \/v1\/chat\/completions\?/],
    ['/v1//chat/completions', /did you mean \/v1\/chat\/completions\?/],
    ['//v1/models', /did you mean \/v1\/models\?/],
    ['/v1/v1/chat/completions', /did you mean \/v1\/chat\/completions\?/],
    ['/api/v1/chat/completions', /did you mean \/v1\/chat\/completions\?/],
    ['/v1/Moderations', /did you mean \/v1\/moderations\?/],
    ['/responses', /did you mean \/v1\/responses\?/],
    ['/completions', /did you mean \/v1\/completions\?/],
    ['/metrics', /under \/admin\/v1\/metrics, each backend under/],
  ])('%s is a 404 that says where to go', async (route, message) => {
    for (const method of ['GET', 'POST']) {
      const answer = await fetch(under.edge.url + route, { method });
      expect((await expectError(answer, { code: 'unknown_url' })).message).toMatch(message);
    }
  });
  test('a long path is not echoed in full', async () => {
    const answer = await fetch(`${under.edge.url}/${'x'.repeat(5_000)}`);
    expect((await expectError(answer, { code: 'unknown_url' })).message).toMatch(/^.{100,300}$/);
  });
  test.each([
    ['GET', '/v1/chat/completions', 'POST'],
    ['GET', '/v1/responses', 'POST'],
    ['PUT', '/v1/responses/resp_1', 'GET, DELETE'],
    ['DELETE', '/v1/models', 'GET'],
    ['DELETE', '/v1/models/scripted', 'GET'],
    ['GET', '/v1/completions', 'POST'],
    ['PUT', '/v1/moderations', 'POST'],
    ['POST', '/healthz', 'GET'],
    ['PATCH', '/console/session', 'POST, GET, PUT, DELETE'],
    ['POST', '/console', 'GET'],
    ['POST', '/livez', 'GET'],
    ['POST', '/readyz', 'GET'],
    ['POST', '/.well-known/jwks.json', 'GET'],
    ['PUT', '/admin/v1/tenants', 'GET, POST'],
    ['PUT', '/admin/v1/pool', 'GET'],
    ['GET', '/pool/v1/heartbeat', 'POST'],
  ])('%s %s is a 405 that says what is allowed', async (method, route, allowed) => {
    const answer = await fetch(under.edge.url + route, { method });
    expect(answer.headers.get('allow')).toBe(allowed);
    await expectError(answer, { code: 'method_not_allowed' });
  });
});

describe('a body that is too large is a 413', () => {
  const route = () => `${under.edge.url}/v1/chat/completions`;
  const headers = { authorization: 'Bearer pk-demo-open' };

  test('if it announces its length', async () => {
    const answer = await fetch(route(), { method: 'POST', headers, body: JSON.stringify(ask('x'.repeat(10_000_000))) });
    await expectError(answer, { code: 'request_too_large' });
  });
  test('if it comes in chunks, without a length', async () => {
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const request = httpRequest(route(), { method: 'POST', headers }, (answer) => {
        resolve(answer.statusCode);
        answer.resume();
      });
      request.on('error', reject);
      for (let written = 0; written < 40; written++) request.write('x'.repeat(50_000));
      request.end();
    });
    expect(status).toBe(413);
  });
  test('but a wrong key is reported first if the body is within the limit', async () => {
    await expectError(await post(under.edge, '/v1/chat/completions', ask('x'.repeat(1_000_000)), 'pk-wrong'), {
      code: 'invalid_api_key',
    });
  });
  test('in the openai client, and the next request is served', async () => {
    const client = openaiClient(under.edge);
    await expect(client.chat.completions.create(ask('x'.repeat(10_000_000)))).rejects.toMatchObject({ status: 413 });
    expect((await client.chat.completions.create(ask('Still there?'))).choices).toHaveLength(1);
  });
});
