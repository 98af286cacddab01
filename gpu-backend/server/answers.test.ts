import { describe, expect, test } from 'vitest';
import { OPEN_LINE } from '#shared/line/line.ts';
import { importDrawSecret } from '#shared/protocol/derive-draw-key.ts';
import type { Directive } from '#shared/protocol/directive.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { digestOfSignedLine } from '#shared/protocol/signed-line.ts';
import { babble, SCRIPTED_EXPERTS } from '../engine/testing/scripted-engine.ts';
import { allFrames, call, DRAW_SECRET, framesOf, generateRequest } from './testing/backend-client.ts';
import { endOf, idle, scriptedBackends, textOf } from './testing/scripted-backends.ts';

const { serve, jwks } = scriptedBackends();

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
    expect(await verifyReceipt(receipt, jwks())).toEqual({
      ...end,
      request: 'req_1',
      directive: expect.stringMatching(/^[0-9a-f-]{36}$/),
      tenant: 'acme',
      key: 'main',
      policy: 'sha256:abc',
      classifier: 'c1',
      model: 'scripted',
      bundle: '0'.repeat(64),
      experts: SCRIPTED_EXPERTS,
      backend: 'b1',
      parts: [],
      draws,
      line: { ...OPEN_LINE, ...line },
      signed_line: await digestOfSignedLine({ line: { ...OPEN_LINE, ...line }, second_look: null }),
      top_k: null,
      choice: 0,
      choices: 1,
      seed: 1,
      max_tokens: body.max_tokens,
      sampling: { temperature: 1, top_p: 1, top_k: 0, min_p: 0, repetition_penalty: 1 },
      prompt_digest: await sha256Hex(JSON.stringify(body)),
      answer_digest: await sha256Hex(textOf(frames)),
    });
    expect(end.usage).toMatchObject({ prompt_tokens: 5, completion_tokens: 12, total_tokens: 17 });
  });

  test('sends each token when it is drawn, not when the answer is complete', async () => {
    const { url, engine } = await serve({ stepMs: 20 });
    const response = await call(url, generateRequest({ max_tokens: 40 }));
    for await (const frame of framesOf(response)) if (frame.type === 'token') break;
    expect(engine.stats().running).toBe(1);
  });

  test('is the same for the same seed, and passes stop strings, seed and temperature to the engine', async () => {
    const { url } = await serve();
    const ask = async (changes = {}) => textOf(await allFrames(await call(url, generateRequest(changes))));
    const answer = await ask();
    expect(await ask()).toBe(answer);
    expect(await ask({ seed: 2 })).not.toBe(answer);
    expect(await ask({ temperature: 0, seed: 2 })).toBe(await ask({ temperature: 0 }));
    expect(await ask({ stop: [answer.slice(4, 6)] })).toBe(answer.slice(0, answer.indexOf(answer.slice(4, 6))));
  });

  test('is the same on every backend with one draw secret, and changes with the secret, key or tenant', async () => {
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

  test('never ends before its first token, however likely both experts think the end is', async () => {
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

  test('does not end after only a space or half a character', async () => {
    // The experts want a space, then the first byte of the euro sign, then the end, at any
    // temperature.
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

  test('in layers mode, says so in its receipt and keeps the line', async () => {
    const { url } = await serve();
    const line = { mode: 'layers', floor: 0.7, budget: 3 } as const;
    const frames = await allFrames(await call(url, generateRequest(), { line }));
    const tokens = frames.filter((frame) => frame.type === 'token');
    // Once the budget is spent, only the safety expert is left.
    const layers = tokens.findIndex(({ spent }) => spent === 3) + 1 || tokens.length;
    for (const [i, token] of tokens.entries()) {
      expect(token).toMatchObject({ weight: i < layers ? 0.7 : 1, floor: 0.7, lp_h: null });
      expect(token.spent).toBeLessThanOrEqual(3);
    }
    const receipt = await verifyReceipt(endOf(frames).receipt, jwks());
    expect(receipt.line).toEqual({ ...OPEN_LINE, ...line });
    expect(receipt.weights).toMatchObject({ min: 0.7, max: layers < tokens.length ? 1 : 0.7 });
    expect(receipt.ran).toEqual({ safety: tokens.length, layers });
    expect(endOf(frames).ran).toEqual(receipt.ran);
  });

  test('has null, not infinity, for unbounded spending and impossible tokens', async () => {
    const only = (id: number) => Array.from({ length: 256 }, (_, i) => (i === id ? 0 : -Infinity));
    const { url } = await serve({ script: (expert) => only(expert === 'safety' ? 97 : 98), proposal: 0 });
    const frames = await allFrames(await call(url, generateRequest({ max_tokens: 1 })));
    expect(frames[1]).toMatchObject({ text: 'b', weight: 0, lp_s: null, lp_h: 0, spent: null });
    expect(endOf(frames).spent).toBeNull();
    expect((await verifyReceipt(endOf(frames).receipt, jwks())).spent).toBeNull();
  });

  test('that breaks midway ends with an error frame and no receipt, and the log has the details', async () => {
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
