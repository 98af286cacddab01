/** What the edge says about its backends: models and health. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EdgeUnderTest, openaiClient, startEdgeUnderTest } from '../testing/edge-under-test.ts';
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
