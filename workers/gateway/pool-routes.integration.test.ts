/** What the edge says about its backends: models and health. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { directiveKey } from '#shared/protocol/directive.ts';
import { HEARTBEAT_PATH, heartbeatKey, signHeartbeat } from '#shared/protocol/heartbeat.ts';
import { helpfulnessKey } from '#shared/protocol/pool-secret.ts';
import { adminClient } from '../control/admin-client.ts';
import {
  ask,
  DIRECTIVE_SECRET,
  type EdgeUnderTest,
  OPERATOR_KEY,
  openaiClient,
  startEdgeUnderTest,
} from '../testing/edge-under-test.ts';
import { poolReport } from '../testing/pool-report.ts';
import { MODEL_CREATED } from '../testing/scripted-backend.ts';

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest();
});
afterAll(() => under.dispose());

test('lists the models of the pool', async () => {
  const client = openaiClient(under.edge);
  const models = (await client.models.list()).data;
  expect(models).toEqual([
    {
      id: 'scripted',
      object: 'model',
      created: MODEL_CREATED,
      owned_by: 'plimsoll',
      max_model_len: 64,
      plimsoll: {
        context_length: 64,
        modes: ['logits', 'layers'],
        available: true,
        sampling: { temperature: 1, top_p: 1, top_k: 0, min_p: 0, repetition_penalty: 1 },
      },
    },
  ]);
  expect(await client.models.retrieve('scripted')).toEqual(models[0]);
  await expect(client.models.retrieve('org/unknown')).rejects.toMatchObject({ status: 404, code: 'model_not_found' });
});

test('health says whether a request would find a backend, and needs no key', async () => {
  const answer = await fetch(`${under.edge.url}/healthz`);
  expect(await answer.json()).toEqual({ status: 'ok', backends: { alive: 1, total: 1 } });
});

test('the operator sees the backends of the settings, and can drain them too', async () => {
  const { pool } = adminClient(under.edge.url, OPERATOR_KEY);
  const url = under.backends[0]!.url;
  const read = async () => (await pool.$get()).json();
  const listed = { url, source: 'settings', state: 'up', model: 'scripted', bundle: 'b1' };
  expect(await read()).toMatchObject({
    registration: true,
    models: [{ id: 'scripted', backends: 1, up: 1, bundles: ['b1'] }],
    data: [{ ...listed, drained: null }],
  });
  await (await pool.drain.$post({ json: { url } })).text();
  const health = async () => (await (await fetch(`${under.edge.url}/healthz`)).json()) as { status: string };
  // An isolate believes its list for two seconds.
  while ((await health()).status === 'ok') await new Promise((resolve) => setTimeout(resolve, 100));
  expect(await read()).toMatchObject({
    models: [{ up: 0 }],
    data: [{ ...listed, state: 'draining', drained: { by: 'operator', at: expect.any(String) } }],
  });
  const call = openaiClient(under.edge).chat.completions.create(ask('Anyone?'));
  await expect(call).rejects.toMatchObject({ status: 503, code: 'backend_unavailable' });
  await (await pool.undrain.$post({ json: { url } })).text();
  while ((await health()).status !== 'ok') await new Promise((resolve) => setTimeout(resolve, 100));
});

test('a member of the helpfulness pool registers itself, and speaks for no backend outside that pool', async () => {
  const secret = directiveKey(DIRECTIVE_SECRET);
  const keys = { own: await heartbeatKey(secret), pool: await heartbeatKey(await helpfulnessKey(secret)) };
  let counter = 0;
  const beat = async (url: string, key: Uint8Array, model = 'scripted') => {
    const heartbeat = { incarnation: 1, counter: ++counter, report: poolReport(url, { model }) };
    const authorization = `Bearer ${await signHeartbeat(heartbeat, key)}`;
    const answer = await fetch(under.edge.url + HEARTBEAT_PATH, { method: 'POST', headers: { authorization } });
    await answer.text();
    return answer.status;
  };
  expect(await beat('http://127.0.0.1:11', keys.pool)).toBe(200);
  expect(await beat(under.backends[0]!.url, keys.pool)).toBe(401);
  expect(await beat('http://127.0.0.1:12', keys.own)).toBe(200);
  expect(await beat('http://127.0.0.1:12', keys.pool)).toBe(401);
  expect(await beat('http://127.0.0.1:11', keys.own)).toBe(200);

  // The directory has room for 64 of that pool, and for any number of the deployment's own.
  for (let port = 100; port < 164; port++)
    expect(await beat(`http://127.0.0.1:${port}`, keys.pool, 'theirs')).toBe(200);
  expect(await beat('http://127.0.0.1:164', keys.pool)).toBe(401);
  expect(await beat('http://127.0.0.1:100', keys.pool, 'theirs')).toBe(200);
  expect(await beat('http://127.0.0.1:164', keys.own)).toBe(200);

  // What only that pool names is no model.
  const { pool } = adminClient(under.edge.url, OPERATOR_KEY);
  expect(JSON.stringify(await (await pool.$get()).json())).toContain('theirs');
  const client = openaiClient(under.edge);
  const isNone = { status: 404, code: 'model_not_found' };
  // An isolate believes its list for two seconds, and reads the next one beside a request.
  await new Promise((resolve) => setTimeout(resolve, 2500));
  await client.models.list();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  expect((await client.models.list()).data.map(({ id }) => id)).toEqual(['scripted']);
  await expect(client.models.retrieve('theirs')).rejects.toMatchObject(isNone);
});
