import { request as httpRequest } from 'node:http';
import type { JSONWebKeySet } from 'jose';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { OPEN_LINE } from '#shared/line/line.ts';
import { importDrawSecret } from '#shared/protocol/derive-draw-key.ts';
import type { Directive } from '#shared/protocol/directive.ts';
import type { EndFrame, Frame } from '#shared/protocol/generate.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import type { Engine } from '../engine/engine.ts';
import { until } from '../engine/testing/engine-contract.ts';
import { babble, startScriptedEngine } from '../engine/testing/scripted-engine.ts';
import type { ReceiptPrivateJwk } from './config.ts';
import type { EncodePrompt } from './encode-prompt.ts';
import { type Backend, serveEngine } from './start-backend.ts';
import {
  allFrames,
  call,
  DRAW_SECRET,
  framesOf,
  generateRequest,
  receiptKeys,
  SECRET,
} from './testing/backend-client.ts';

let receiptPrivateJwk: ReceiptPrivateJwk;
let jwks: JSONWebKeySet;
beforeAll(async () => {
  ({ receiptPrivateJwk, jwks } = await receiptKeys());
});

const open: Backend[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((backend) => backend.close()));
});

const bytesOf: EncodePrompt = (messages) => [...Buffer.from(messages.map(({ content }) => content).join('\n'))];

async function serve({
  graceMs = 0,
  drawSecret = DRAW_SECRET,
  ...script
}: Parameters<typeof startScriptedEngine>[0] & { graceMs?: number; drawSecret?: string } = {}) {
  const engine = await startScriptedEngine(script);
  const logged: string[] = [];
  const causes: unknown[] = [];
  const config = {
    host: '127.0.0.1',
    port: 0,
    directiveSecret: SECRET,
    drawSecret,
    receiptPrivateJwk,
    backendId: 'b1',
    graceMs,
    bodyLimitBytes: 10_000,
    hostNames: null,
  };
  const backend = await serveEngine(engine, bytesOf, config, {
    log: (message, cause) => {
      logged.push(message);
      causes.push(cause);
    },
  });
  open.push(backend);
  return { engine, backend, url: backend.url, logged, causes };
}

const idle = (engine: Engine) => until(() => engine.stats().rows === 0 && engine.stats().running === 0);
const textOf = (frames: Frame[]) => frames.map((frame) => ('text' in frame ? frame.text : '')).join('');
const endOf = (frames: Frame[]) => frames.at(-1) as EndFrame;
const errorOf = async (response: Response) => ({
  status: response.status,
  ...((await response.json()) as { error: Record<string, string> }).error,
});

describe('an answer', () => {
  test('starts, streams its tokens and ends with a receipt that anyone can check', async () => {
    const { url } = await serve();
    const body = generateRequest();
    const line = { floor: 0.7, budget: 3 };
    const response = await call(url, body, { line });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/x-ndjson');
    const frames = await allFrames(response);
    const draws = (await importDrawSecret(DRAW_SECRET)).id;
    expect(frames[0]).toEqual({
      type: 'start',
      id: 'req_1',
      model: 'scripted',
      bundle: '0'.repeat(64),
      backend: 'b1',
      draws,
      prompt_tokens: 5,
    });
    const tokens = frames.filter((frame) => frame.type === 'token');
    expect(tokens).toHaveLength(12);
    for (const token of tokens) {
      expect(token.weight).toBeGreaterThanOrEqual(0.7);
      expect(token.spent).toBeLessThanOrEqual(3);
    }
    const { type: _, receipt, ...end } = endOf(frames);
    expect(await verifyReceipt(receipt, jwks)).toEqual({
      ...end,
      request: 'req_1',
      directive: expect.stringMatching(/^[0-9a-f-]{36}$/),
      tenant: 'acme',
      key: 'main',
      policy: 'sha256:abc',
      classifier: 'c1',
      model: 'scripted',
      bundle: '0'.repeat(64),
      backend: 'b1',
      draws,
      line: { ...OPEN_LINE, ...line },
      top_k: null,
      seed: 1,
      prompt_digest: await sha256Hex(JSON.stringify(body)),
      answer_digest: await sha256Hex(textOf(frames)),
    });
    expect(end.usage).toEqual({ prompt_tokens: 5, completion_tokens: 12, total_tokens: 17 });
  });

  test('sends each token when it is drawn, not when the answer is done', async () => {
    const { url, engine } = await serve({ stepMs: 20 });
    const response = await call(url, generateRequest({ max_tokens: 40 }));
    for await (const frame of framesOf(response)) if (frame.type === 'token') break;
    expect(engine.stats().running).toBe(1);
  });

  test('is the same for the same seed, and carries stop strings, seed and temperature to the engine', async () => {
    const { url } = await serve();
    const ask = async (changes = {}) => textOf(await allFrames(await call(url, generateRequest(changes))));
    const answer = await ask();
    expect(await ask()).toBe(answer);
    expect(await ask({ seed: 2 })).not.toBe(answer);
    expect(await ask({ temperature: 0, seed: 2 })).toBe(await ask({ temperature: 0 }));
    expect(await ask({ stop: [answer.slice(4, 6)] })).toBe(answer.slice(0, answer.indexOf(answer.slice(4, 6))));
  });

  test('is the same on every backend of one draw secret, and another under another secret, key or tenant', async () => {
    const [first, second, elsewhere] = [await serve(), await serve(), await serve({ drawSecret: `${DRAW_SECRET}!` })];
    const ask = async (url: string, edit = (directive: Directive) => directive) =>
      textOf(await allFrames(await call(url, generateRequest(), { edit })));
    const answer = await ask(first.url);
    expect(await ask(second.url)).toBe(answer);
    const others = [
      await ask(elsewhere.url),
      await ask(first.url, (d) => ({ ...d, key: 'other' })),
      await ask(first.url, (d) => ({ ...d, tenant: 'other' })),
    ];
    expect(new Set([answer, ...others]).size).toBe(4);
  });

  test('never ends before its first token, however likely both experts find the end', async () => {
    const script: typeof babble = () => Array.from({ length: 256 }, (_, id) => (id === 0 ? 9 : id === 97 ? 0 : -9));
    const { url } = await serve({ script });
    for (const line of [{}, { mode: 'layers' }, { action: 'safety_only' }, { budget: 0 }, { floor: 1 }] as const) {
      for (const temperature of [0, 1]) {
        const frames = await allFrames(await call(url, generateRequest({ temperature }), { line }));
        const [first, second] = frames.filter((frame) => frame.type === 'token');
        expect(first).toMatchObject({ text: 'a', spent: expect.closeTo(0, 3) });
        if (temperature === 0) expect(second).toMatchObject({ id: 0 });
      }
    }
  });

  test('does not end on half a character or on a space either', async () => {
    // A space, then the first byte of the euro sign, then the end, whatever the temperature.
    const wish = (ids: readonly number[]) => [0x20, 0xe2, 0][ids.length - 5] ?? 0;
    const script: typeof babble = (_kind, ids) =>
      Array.from({ length: 256 }, (_, id) => (id === wish(ids) ? 30 : id === 97 ? 0 : -30));
    const { url } = await serve({ script });
    for (const temperature of [0, 1]) {
      const frames = await allFrames(await call(url, generateRequest({ temperature })));
      expect(textOf(frames)).toMatch(/a$/);
      expect(endOf(frames)).toMatchObject({ finish_reason: 'stop', usage: { completion_tokens: 4 } });
    }
  });

  test('in the mode layers says so in its receipt, and keeps the line', async () => {
    const { url } = await serve();
    const line = { mode: 'layers', floor: 0.7, budget: 3 } as const;
    const frames = await allFrames(await call(url, generateRequest(), { line }));
    for (const token of frames.filter((frame) => frame.type === 'token')) {
      expect(token).toMatchObject({ weight: 0.7, floor: 0.7, lp_h: null });
      expect(token.spent).toBeLessThanOrEqual(3);
    }
    const receipt = await verifyReceipt(endOf(frames).receipt, jwks);
    expect(receipt.line).toEqual({ ...OPEN_LINE, ...line });
    expect(receipt.weights).toEqual({ min: 0.7, mean: 0.7, max: 0.7 });
  });

  test('has null, not infinity, for what has no bound', async () => {
    const only = (id: number) => Array.from({ length: 256 }, (_, i) => (i === id ? 0 : -Infinity));
    const { url } = await serve({ script: (expert) => only(expert === 'safety' ? 97 : 98), proposal: 0 });
    const frames = await allFrames(await call(url, generateRequest({ max_tokens: 1 })));
    expect(frames[1]).toMatchObject({ text: 'b', weight: 0, lp_s: null, lp_h: 0, spent: null });
    expect(endOf(frames).spent).toBeNull();
    expect((await verifyReceipt(endOf(frames).receipt, jwks)).spent).toBeNull();
  });

  test('that breaks midway ends with an error frame and no receipt, and the log knows more', async () => {
    const script: typeof babble = (expert, ids) =>
      expert === 'safety' && ids.length >= 8 ? [Number.NaN] : babble(expert, ids);
    const { url, engine, logged } = await serve({ script });
    const frames = await allFrames(await call(url, generateRequest()));
    expect(frames.map((frame) => frame.type)).toEqual(['start', 'token', 'token', 'token', 'error']);
    expect(frames.at(-1)).toMatchObject({ code: 'expert_failed' });
    expect(logged).toEqual([expect.stringContaining('req_1: expert_failed')]);
    await idle(engine);
  });
});

describe('a client that leaves', () => {
  test('in the middle of an answer gives its rows back', async () => {
    const { url, engine } = await serve({ stepMs: 5, contextLength: 5000 });
    const abort = new AbortController();
    const response = await call(url, generateRequest({ max_tokens: null }), { signal: abort.signal });
    const reading = (async () => {
      for await (const frame of framesOf(response)) if (frame.type === 'token') abort.abort();
    })();
    await expect(reading).rejects.toThrow(/abort/);
    await idle(engine);
    expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/request_cancelled_total\{[^}]*\} 1\n/);
  });

  test('without reading what it was sent gives them back, too', async () => {
    const { url, engine } = await serve({ stepMs: 1, contextLength: 5000 });
    const abort = new AbortController();
    await call(url, generateRequest({ max_tokens: null }), { signal: abort.signal });
    await until(() => engine.stats().running === 1);
    abort.abort();
    await idle(engine);
  });

  test('while it waits for a place leaves the queue', async () => {
    const { url, engine } = await serve({ stepMs: 5, contextLength: 5000, limits: { maxRows: 2 } });
    const first = new AbortController();
    const second = new AbortController();
    // Held on to: an answer that nobody refers to any more is collected, and its connection closed.
    const held = [
      await call(url, generateRequest({ max_tokens: null }), { signal: first.signal }),
      await call(url, generateRequest({ max_tokens: null }), { signal: second.signal }),
    ];
    await until(() => engine.stats().waiting === 1);
    second.abort();
    await until(() => engine.stats().waiting === 0);
    expect(engine.stats().running).toBe(1);
    expect(held).toHaveLength(2);
    first.abort();
    await idle(engine);
  });
});

describe('a request without a right to an answer', () => {
  const past = new Date(Date.now() - 60_000);
  test.each<[string, Parameters<typeof call>[2], string]>([
    ['no directive', { token: null }, 'directive_invalid'],
    ['a directive that is no token', { token: 'nonsense' }, 'directive_invalid'],
    [
      'a directive signed with another secret',
      { secret: 'another secret of at least 32 bytes....' },
      'directive_invalid',
    ],
    ['a directive for another body', { edit: (d) => ({ ...d, digest: 'f'.repeat(64) }) }, 'directive_invalid'],
    [
      'a directive without a floor',
      // What the type forbids and a forger may send.
      { edit: (d) => ({ ...d, line: { ...d.line, floor: undefined as unknown as number } }) },
      'directive_invalid',
    ],
    ['an old directive', { now: past }, 'directive_expired'],
  ])('%s', async (_what, options, code) => {
    const { url, engine } = await serve();
    const response = await call(url, generateRequest(), options);
    expect(await errorOf(response)).toMatchObject({ status: 401, code, type: 'authentication_error' });
    expect(engine.stats()).toEqual({ running: 0, waiting: 0, rows: 0 });
  });

  test.each<[string, Partial<Directive>, RegExp]>([
    ['a second look', { second_look: { base: 0, rules: {} } }, /look at the prompt a second time/],
    [
      'an answer taken up',
      { resume: { position: 3, spent: 0, ids_digest: '0'.repeat(64), mac: 'm' } },
      /take up an answer/,
    ],
  ])('a directive that asks for %s, which this backend cannot do', async (_what, asks, message) => {
    const { url, engine } = await serve();
    const response = await call(url, generateRequest(), { edit: (d) => ({ ...d, ...asks }) });
    expect(await errorOf(response)).toMatchObject({
      status: 401,
      code: 'directive_invalid',
      message: expect.stringMatching(message),
    });
    expect(engine.stats()).toEqual({ running: 0, waiting: 0, rows: 0 });
  });

  test('a directive that was used before, whatever came of it, and at the same time too', async () => {
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

  test('an unsigned request learns nothing about its body', async () => {
    const { url } = await serve();
    expect(await errorOf(await call(url, '{', { token: null }))).toMatchObject({ code: 'directive_invalid' });
  });
});

describe('a request that makes no sense', () => {
  test.each<[string, string | ReturnType<typeof generateRequest>, object]>([
    ['broken JSON', '{"model":', { status: 400, code: 'invalid_json' }],
    [
      'a wrong type',
      JSON.stringify({ ...generateRequest(), temperature: 'hot' }),
      { status: 400, code: 'invalid_request', param: 'temperature' },
    ],
    [
      'an unknown field',
      JSON.stringify({ ...generateRequest(), floor: 0 }),
      { status: 400, code: 'invalid_request', message: expect.stringContaining('floor') },
    ],
    ['a field out of range', generateRequest({ top_p: 0 }), { status: 400, code: 'invalid_request', param: 'top_p' }],
    [
      'another model',
      generateRequest({ model: 'other' }),
      { status: 404, code: 'model_not_found', message: expect.stringContaining('scripted') },
    ],
    [
      'too long a prompt',
      generateRequest({ messages: [{ role: 'user', content: 'x'.repeat(96) }] }),
      { status: 400, code: 'context_length_exceeded', message: expect.stringMatching(/96 tokens.* 96 tokens/) },
    ],
    ['too large a body', 'x'.repeat(10_001), { status: 413, code: 'request_too_large' }],
  ])('%s', async (_what, body, error) => {
    const { url } = await serve();
    expect(await errorOf(await call(url, body))).toMatchObject(error);
  });

  test('too large a body that does not say how large it is', async () => {
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

  test('another method or address', async () => {
    const { url } = await serve();
    const get = await fetch(`${url}/v1/generate`);
    expect(get.headers.get('allow')).toBe('POST');
    expect(await errorOf(get)).toMatchObject({ status: 405, code: 'method_not_allowed' });
    expect(await errorOf(await fetch(`${url}/v1/nothing`))).toMatchObject({ status: 404, code: 'unknown_url' });
  });

  test('an encoder that throws something foreign tells the client nothing of it', async () => {
    const engine = await startScriptedEngine();
    const logged: unknown[] = [];
    const config = {
      host: '127.0.0.1',
      port: 0,
      directiveSecret: SECRET,
      drawSecret: DRAW_SECRET,
      receiptPrivateJwk,
      backendId: 'b1',
      graceMs: 0,
      bodyLimitBytes: 1000,
      hostNames: null,
    };
    const broken: EncodePrompt = () => {
      throw new Error('secret internals');
    };
    const backend = await serveEngine(engine, broken, config, { log: (_, cause) => logged.push(cause) });
    open.push(backend);
    const response = await call(backend.url, generateRequest());
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('secret internals');
    expect(logged).toEqual([new Error('secret internals')]);
  });
});

test('a mode that the bundle has no router for is a 400 that names the field, before any work', async () => {
  const { url, engine } = await serve({ modes: ['logits'] });
  const response = await call(url, generateRequest(), { line: { mode: 'layers' } });
  expect(await errorOf(response)).toEqual({
    status: 400,
    code: 'unsupported_value',
    type: 'invalid_request_error',
    param: 'plimsoll.mode',
    message: expect.stringContaining('"layers": its bundle has no layers router'),
  });
  expect(engine.stats()).toEqual({ running: 0, waiting: 0, rows: 0 });
});

test('a full queue is 503 with Retry-After, before any frame', async () => {
  const { url, engine } = await serve({ stepMs: 10, limits: { maxRows: 2, maxWaiting: 1 } });
  const running = await call(url, generateRequest({ max_tokens: 50 }));
  await until(() => engine.stats().running === 1);
  const waiting = await call(url, generateRequest({ max_tokens: 1 }));
  const refused = await call(url, generateRequest());
  expect(refused.headers.get('retry-after')).toMatch(/^([1-9]|[1-5]\d|60)$/);
  expect(await errorOf(refused)).toMatchObject({ status: 503, code: 'overloaded' });
  expect(endOf(await allFrames(running)).type).toBe('end');
  expect(endOf(await allFrames(waiting)).type).toBe('end');
});

test('an answer that has to wait says so until it has a place, and only then that it has started', async () => {
  const { url, engine } = await serve({ stepMs: 10, limits: { maxRows: 2 } });
  const running = await call(url, generateRequest({ max_tokens: 50 }));
  await until(() => engine.stats().running === 1);
  const waiting = await Promise.all([1, 2].map((seed) => call(url, generateRequest({ max_tokens: 2, seed }))));
  expect(engine.stats()).toMatchObject({ running: 1, waiting: 2 });
  await allFrames(running);
  const frames = await Promise.all(waiting.map(allFrames));
  expect(frames.map(([first]) => first)).toEqual([
    { type: 'waiting', ahead: 0 },
    { type: 'waiting', ahead: 1 },
  ]);
  for (const each of frames) {
    const types = each.map(({ type }) => type);
    expect(types.slice(types.lastIndexOf('waiting') + 1)).toEqual(['start', 'token', 'token', 'end']);
  }
});

test('a tenant that has filled the queue is refused, and another is not: the directive says whose a request is', async () => {
  const { url, engine } = await serve({ stepMs: 10, limits: { maxRows: 2, maxWaiting: 2 } });
  const ask = (tenant: string) =>
    call(url, generateRequest({ max_tokens: 20 }), { edit: (directive) => ({ ...directive, tenant }) });
  const running = await ask('crowd');
  await until(() => engine.stats().running === 1);
  const asked = [await ask('crowd'), await ask('crowd'), await ask('crowd'), await ask('other'), await ask('other')];
  expect(asked.map(({ status }) => status)).toEqual([200, 200, 503, 200, 503]);
  // Totals: a series for each tenant would have no bound.
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toMatch(/num_requests_waiting\{[^}]*\} 3\n/);
  expect(metrics).not.toMatch(/crowd|other/);
  const accepted = [running, ...asked.filter(({ ok }) => ok)];
  for (const response of accepted) expect(endOf(await allFrames(response)).type).toBe('end');
});

test('a refusal is one line in the log, without a cause, whatever a client has put into it', async () => {
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

test('healthz says what is served and how busy it is', async () => {
  const { url, engine } = await serve({ stepMs: 5 });
  const healthz = async () => {
    const response = await fetch(`${url}/healthz`);
    return { http: response.status, ...((await response.json()) as object) };
  };
  const about = {
    http: 200,
    status: 'ok',
    backend: 'b1',
    model: 'scripted',
    context_length: 96,
    max_token_bytes: 1,
    bundle: '0'.repeat(64),
    draws: (await importDrawSecret(DRAW_SECRET)).id,
    modes: ['logits', 'layers'],
  };
  expect(await healthz()).toEqual({ ...about, running: 0, waiting: 0 });
  const answer = await call(url, generateRequest({ max_tokens: 40 }));
  await until(() => engine.stats().running === 1);
  expect(await healthz()).toEqual({ ...about, running: 1, waiting: 0 });
  await allFrames(answer);
  await engine.close();
  expect(await healthz()).toMatchObject({ http: 503, status: 'failed' });
  expect(await errorOf(await call(url, generateRequest()))).toMatchObject({ status: 503, code: 'backend_unavailable' });
});

test('metrics count requests, tokens, weights and spending under names like those of vLLM', async () => {
  const { url } = await serve();
  await allFrames(await call(url, generateRequest(), { line: { floor: 0.9, budget: 3 } }));
  await call(url, generateRequest({ model: 'other' }));
  const response = await fetch(`${url}/metrics`);
  expect(response.headers.get('content-type')).toContain('text/plain');
  const text = await response.text();
  const value = (name: string, labels = '') => {
    const match = text.match(new RegExp(`^plimsoll:${name}\\{${labels}model_name="scripted"\\} (\\S+)$`, 'm'));
    return Number(match?.[1]);
  };
  expect(value('prompt_tokens_total')).toBe(5);
  expect(value('generation_tokens_total')).toBe(12);
  expect(value('num_requests_running')).toBe(0);
  expect(value('num_requests_waiting')).toBe(0);
  expect(value('time_to_first_token_seconds_count')).toBe(1);
  expect(value('time_per_output_token_seconds_count')).toBe(11);
  expect(value('e2e_request_latency_seconds_count')).toBe(1);
  expect(value('request_success_total', 'finished_reason="length",')).toBe(1);
  expect(value('request_failure_total', 'code="model_not_found",')).toBe(1);
  expect(value('safety_weight_sum')).toBeCloseTo(12 * 0.9);
  expect(value('budget_spent_nats_count')).toBe(1);
});

describe('shutting down', () => {
  test('lets a running answer finish and takes nothing new', async () => {
    const { backend, url } = await serve({ stepMs: 5, graceMs: 5000 });
    const answer = await call(url, generateRequest({ max_tokens: 30 }));
    const closing = backend.close();
    expect(endOf(await allFrames(answer)).type).toBe('end');
    await closing;
    await expect(fetch(`${url}/healthz`)).rejects.toThrow();
  });

  test('ends an answer that takes too long with an error frame', async () => {
    const { backend, url } = await serve({ stepMs: 10, graceMs: 50, contextLength: 5000 });
    const answer = await call(url, generateRequest({ max_tokens: null }));
    const closing = backend.close();
    expect((await allFrames(answer)).at(-1)).toMatchObject({ type: 'error', code: 'backend_unavailable' });
    await closing;
  });

  test('does not wait for a client that has stopped reading', async () => {
    const { backend, url, engine } = await serve({ stepMs: 1, graceMs: 10, contextLength: 5000 });
    await call(url, generateRequest({ max_tokens: null }));
    await until(() => engine.stats().running === 1);
    await backend.close();
    expect(engine.alive).toBe(false);
  });
});

test('a port that is taken is an error, not a crash', async () => {
  const { url } = await serve();
  const engine = await startScriptedEngine();
  const config = {
    host: '127.0.0.1',
    port: Number(new URL(url).port),
    directiveSecret: SECRET,
    drawSecret: DRAW_SECRET,
    receiptPrivateJwk,
    backendId: 'b2',
    graceMs: 0,
    bodyLimitBytes: 1000,
    hostNames: null,
  };
  await expect(serveEngine(engine, bytesOf, config)).rejects.toThrow(/EADDRINUSE/);
  await engine.close();
});
