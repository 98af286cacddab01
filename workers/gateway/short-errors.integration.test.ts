/** An error is no place for a client's text: whatever is quoted in one is cut. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import { ask, type EdgeUnderTest, post, startEdgeUnderTest } from '../testing/edge-under-test.ts';

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest();
});
afterAll(() => under.dispose());

test('a key that is no token id is refused by what it would be', async () => {
  const answer = await post(under.edge, '/v1/chat/completions', { ...ask('Hi'), logit_bias: { x: 1 } });
  // The cast: the test reads what the table of errors promises.
  const { error } = (await answer.json()) as ErrorBody;
  expect(error).toMatchObject({ param: 'logit_bias.x', code: 'invalid_value' });
  expect(error.message).toMatch(/^Invalid value for 'logit_bias.x': expected (?!Invalid).*token id.*, found "x"\.$/);
});

const LONG = 'x'.repeat(200_000);
// Longer schemas are refused as a whole.
const NAME = 'x'.repeat(50_000);
const schema = (value: object) => ({ guided_json: value });
test.each<[string, object]>([
  ['a key of logit_bias', { logit_bias: { [LONG]: 1 } }],
  ['a field of the extension', { plimsoll: { [LONG]: 1 } }],
  ['a field of a stream', { stream: true, stream_options: { [LONG]: 1 } }],
  ['a format', schema({ type: 'string', format: NAME })],
  ['a keyword', schema({ [NAME]: 1 })],
  ['a property', schema({ properties: { [NAME]: { patternProperties: {} } } })],
  ['a reference', schema({ $ref: NAME })],
  ['a reference to nothing', schema({ $ref: `#/${NAME}` })],
  ['a pattern', schema({ type: 'string', pattern: `(?!a)${NAME}` })],
  ['a model', { model: LONG }],
])('without echoing %s that is long', async (_name, more) => {
  const answer = await post(under.edge, '/v1/chat/completions', { ...ask('Hi'), ...more });
  expect(answer.status).toBeOneOf([400, 404]);
  expect((await answer.text()).length).toBeLessThan(1_500);
});

test('without echoing a long model of any route', async () => {
  const model = LONG;
  const routes = { completions: { prompt: 'x' }, responses: { input: 'x' }, moderations: { input: 'x' } };
  for (const [route, body] of Object.entries(routes)) {
    const answer = await post(under.edge, `/v1/${route}`, { model, ...body });
    expect(answer.status, route).toBe(404);
    expect((await answer.text()).length, route).toBeLessThan(1_500);
  }
});
