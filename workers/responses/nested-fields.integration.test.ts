/** What is inside of the fields of `POST /v1/responses`, where no other field is named so. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type EdgeUnderTest, post, startEdgeUnderTest } from '../testing/edge-under-test.ts';
import { readResponse } from '../testing/read-response.ts';
import type { ScriptedBackend } from '../testing/scripted-backend.ts';

let under: EdgeUnderTest;
let backend: ScriptedBackend;
beforeAll(async () => {
  under = await startEdgeUnderTest({ contextOf: () => 1000 });
  backend = under.backends[0]!;
});
afterAll(() => under.dispose());
beforeEach(() => {
  backend.seen.length = 0;
});

const ask = (input: unknown, more: object = {}) => ({ model: 'scripted', input, seed: 7, ...more });

const LONG_SEED = { type: 'object', properties: {}, examples: [{ seed: 'SEED' }] };
test.each([
  ['a schema', { text: { format: { type: 'json_schema', name: 'a', schema: LONG_SEED } } }],
  ['the parameters of a tool', { tools: [{ type: 'function', name: 'f', parameters: LONG_SEED }] }],
])('a long number that %s calls "seed" is a number as any other', async (_, more) => {
  const body = JSON.stringify(ask('Long', more)).replace('"SEED"', '1234567890123456789');
  await readResponse(await post(under.edge, '/v1/responses', body));
  expect(backend.seen.at(-1)!.request.seed).toBe(7);
});
