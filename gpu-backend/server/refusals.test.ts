import { request as httpRequest } from 'node:http';
import { describe, expect, test } from 'vitest';
import { until } from '../engine/testing/engine-contract.ts';
import { call, generateRequest } from './testing/backend-client.ts';
import { errorOf, scriptedBackends } from './testing/scripted-backends.ts';

const { serve } = scriptedBackends();

describe('a request that has no right to an answer is refused', () => {
  const past = new Date(Date.now() - 60_000);
  test.each<[string, Parameters<typeof call>[2], string]>([
    ['no directive', { token: null }, 'directive_invalid'],
    ['a directive that is not a token', { token: 'nonsense' }, 'directive_invalid'],
    [
      'a directive signed with another secret',
      { secret: 'another secret of at least 32 bytes....' },
      'directive_invalid',
    ],
    ['a directive for another body', { edit: (d) => ({ ...d, digest: 'f'.repeat(64) }) }, 'directive_invalid'],
    [
      'a directive without a floor',
      // The type forbids this, but a forger may send it.
      // No typed directive lacks its floor.
      { edit: (d) => ({ ...d, line: { ...d.line, floor: undefined as unknown as number } }) },
      'directive_invalid',
    ],
    ['an old directive', { now: past }, 'directive_expired'],
  ])('%s', async (_what, options, code) => {
    const { url, engine } = await serve();
    const response = await call(url, generateRequest(), options);
    expect(await errorOf(response)).toMatchObject({ status: 401, code, type: 'authentication_error' });
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, rows: 0 });
  });

  test('a directive that was used before, whatever the outcome, or that is used twice at once', async () => {
    const { url } = await serve();
    const id = crypto.randomUUID();
    const twice = () => call(url, generateRequest(), { edit: (d) => ({ ...d, id }) });
    const outcomes = await Promise.all([twice(), twice(), twice()]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual([200, 401, 401]);
    expect(await errorOf(await twice())).toMatchObject({ code: 'directive_invalid' });

    const other = crypto.randomUUID();
    const refused = (model: string) => call(url, generateRequest({ model }), { edit: (d) => ({ ...d, id: other }) });
    expect((await refused('unknown')).status).toBe(404);
    expect((await refused('scripted')).status).toBe(401);
  });

  test('an unsigned request, whose sender learns nothing about its body', async () => {
    const { url } = await serve();
    expect(await errorOf(await call(url, '{', { token: null }))).toMatchObject({ code: 'directive_invalid' });
  });
});

describe('a request that cannot be answered gets an error', () => {
  test.each<[string, string | ReturnType<typeof generateRequest>, object]>([
    ['broken JSON', '{"model":', { status: 400, code: 'invalid_json' }],
    [
      'a wrong type',
      JSON.stringify({ ...generateRequest(), temperature: 'hot' }),
      { status: 400, code: 'invalid_value', param: 'temperature' },
    ],
    [
      'an unknown field',
      JSON.stringify({ ...generateRequest(), floor: 0 }),
      { status: 400, code: 'invalid_request', message: expect.stringContaining('floor') },
    ],
    ['a field out of range', generateRequest({ top_p: 0 }), { status: 400, code: 'invalid_value', param: 'top_p' }],
    [
      'another model',
      generateRequest({ model: 'other' }),
      { status: 404, code: 'model_not_found', message: expect.stringContaining('scripted') },
    ],
    [
      'a prompt that is too long',
      generateRequest({ messages: [{ role: 'user', content: 'x'.repeat(96) }] }),
      { status: 400, code: 'context_length_exceeded', message: expect.stringMatching(/96 tokens.* 96 tokens/) },
    ],
    ['a body that is too large', 'x'.repeat(10_001), { status: 413, code: 'request_too_large' }],
  ])('%s', async (_what, body, error) => {
    const { url } = await serve();
    expect(await errorOf(await call(url, body))).toMatchObject(error);
  });

  test('a body that is too large but does not say its length', async () => {
    const { url } = await serve();
    const status = await new Promise((resolve, reject) => {
      const request = httpRequest(`${url}/v1/generate`, { method: 'POST' }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      request.once('error', reject);
      request.write('x'.repeat(6000));
      request.end('x'.repeat(6000));
    });
    expect(status).toBe(413);
  });

  test('a body that is too large, and says that the connection ends, so that nobody sends more over it', async () => {
    const { url } = await serve();
    const response = await call(url, 'x'.repeat(10_001));
    expect([response.status, response.headers.get('connection')]).toEqual([413, 'close']);
  });

  test('unknown fields, without repeating them all', async () => {
    const { url } = await serve();
    const names = Array.from({ length: 500 }, (_, i) => [`unknown${i}`, 1]);
    const response = await call(url, JSON.stringify({ ...generateRequest(), ...Object.fromEntries(names) }));
    expect(await errorOf(response)).toMatchObject({ message: expect.stringMatching(/unknown0.{1,600}$/) });
  });

  test('a wrong method or address', async () => {
    const { url } = await serve();
    const get = await fetch(`${url}/v1/generate`);
    expect(get.headers.get('allow')).toBe('POST');
    expect(await errorOf(get)).toMatchObject({ status: 405, code: 'method_not_allowed' });
    expect(await errorOf(await fetch(`${url}/v1/nothing`))).toMatchObject({ status: 404, code: 'unknown_url' });
  });

  test('an unknown error in the encoder, about which the client learns nothing', async () => {
    const { url, causes } = await serve({
      encodePrompt: () => {
        throw new Error('secret internals');
      },
    });
    const response = await call(url, generateRequest());
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('secret internals');
    expect(causes).toEqual([new Error('secret internals')]);
  });
});

test('a mode without a router is a 400 that names the field, before any work', async () => {
  const { url, engine } = await serve({ modes: ['logits'] });
  const response = await call(url, generateRequest(), { line: { mode: 'layers' } });
  expect(await errorOf(response)).toEqual({
    status: 400,
    code: 'unsupported_value',
    type: 'invalid_request_error',
    param: 'plimsoll.mode',
    message: expect.stringContaining('"layers": its bundle has no layers router'),
  });
  expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, rows: 0 });
});

test('a refusal is one line in the log without a cause, whatever the client put into it', async () => {
  const { url, engine, logged, causes } = await serve({ stepMs: 10, limits: { maxRows: 2, maxWaiting: 1 } });
  const running = await call(url, generateRequest({ max_tokens: 50 }));
  await until(() => engine.stats().running === 1);
  const waiting = await call(url, generateRequest());
  await call(url, generateRequest());
  await call(url, generateRequest({ model: `other\nreq_2: internal_error: \u2028${'x'.repeat(1000)}` }));
  await call(url, '{"model":');
  await call(url, generateRequest(), { now: new Date(Date.now() - 60_000) });
  await engine.close();
  for (const response of [running, waiting]) await response.text();
  await call(url, generateRequest());
  expect(logged.map((line) => line.match(/: (\w+): /)?.[1]).sort()).toEqual([
    'backend_unavailable',
    'backend_unavailable',
    'backend_unavailable',
    'directive_expired',
    'invalid_json',
    'model_not_found',
    'overloaded',
  ]);
  for (const line of logged) {
    expect(line).not.toMatch(/[\n\u2028]/);
    expect(line.length).toBeLessThan(400);
  }
  expect(causes).toEqual(logged.map(() => undefined));
});
