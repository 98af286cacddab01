/** Only the edge may ask for the text of ids, once, and for exactly these. */
import { Hono } from 'hono';
import { expect, test } from 'vitest';
import { toPlimsollError } from '#shared/api/errors.ts';
import { DECODE_PATH, decodeKey, signDecodeOrder } from '#shared/protocol/decode.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import type { EngineInfo } from '../engine/engine.ts';
import { decodeRoute } from './decode-route.ts';
import { SECRET } from './testing/backend-client.ts';

const key = directiveKey(SECRET);
const BODY = JSON.stringify({ model: 'm', prompts: [[72, 105], [33]] });

function app({ decodes = true } = {}) {
  const decode = (ids: readonly number[]) => Buffer.from(ids).toString();
  // The cast: the route shows nothing else.
  const info = () => ({ model: 'm', digest: 'd' }) as EngineInfo;
  const route = decodeRoute({ decode: decodes ? decode : null, info, directiveKeys: [key] });
  return new Hono().post(DECODE_PATH, route).onError((thrown) => {
    const error = toPlimsollError(thrown);
    return Response.json(error.toBody(), { status: error.status });
  });
}

async function order({ body = BODY, secret = SECRET } = {}): Promise<string> {
  const about = { id: crypto.randomUUID(), request: 'req_1', tenant: 'demo', digest: await sha256Hex(body) };
  return signDecodeOrder(about, await decodeKey(directiveKey(secret)));
}

const ask = (served: ReturnType<typeof app>, token: string | null, body = BODY) =>
  served.request(DECODE_PATH, {
    method: 'POST',
    body,
    headers: token === null ? {} : { authorization: `Bearer ${token}` },
  });

test('tells the texts in order, once for each order', async () => {
  const served = app();
  const token = await order();
  const answer = await ask(served, token);
  expect([answer.status, await answer.json()]).toEqual([200, { model: 'm', bundle: 'd', texts: ['Hi', '!'] }]);
  expect((await ask(served, token)).status).toBe(401);
});

test('refuses what the edge has not signed for this body', async () => {
  const served = app();
  expect((await ask(served, null)).status).toBe(401);
  expect((await ask(served, await order({ secret: 'another secret of 32 bytes, or more' }))).status).toBe(401);
  expect((await ask(served, await order({ body: '{}' }))).status).toBe(401);
});

test('refuses another model, and anything where plain prompts are not taken', async () => {
  const other = JSON.stringify({ model: 'other', prompts: [[1]] });
  expect((await ask(app(), await order({ body: other }), other)).status).toBe(404);
  expect((await ask(app({ decodes: false }), await order())).status).toBe(400);
  const none = JSON.stringify({ model: 'm', prompts: [] });
  expect((await ask(app(), await order({ body: none }), none)).status).toBe(400);
});

test('a body that is no JSON is a 400', async () => {
  const broken = '{"model":"m","prompts":[[72';
  const answer = await ask(app(), await order({ body: broken }), broken);
  expect([answer.status, await answer.json()]).toMatchObject([400, { error: { code: 'invalid_json' } }]);
});
