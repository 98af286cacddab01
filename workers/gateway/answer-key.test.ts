import { describe, expect, test } from 'vitest';
import { OPEN_LINE } from '#shared/line/line.ts';
import type { GenerateBody } from '#shared/protocol/generate.ts';
import { answerKey } from './answer-key.ts';

type Parts = Parameters<typeof answerKey>[0];

const request: GenerateBody = {
  model: 'm',
  messages: [{ role: 'user', content: 'Hello' }],
  max_tokens: 10,
  stop: [],
  seed: 1,
  temperature: 0,
  top_p: 1,
};
const PARTS: Parts = {
  directive: { tenant: 't', key: 'k', policy: 'p', classifier: 'c', line: OPEN_LINE, second_look: null },
  request,
  seed: null,
  bundle: 'b',
  draws: 'd',
  probe: null,
};
const directive = (changes: Partial<Parts['directive']>): Partial<Parts> => ({
  directive: { ...PARTS.directive, ...changes },
});
const asked = (changes: Partial<GenerateBody>): Partial<Parts> => ({ request: { ...request, ...changes } });
const keyOf = (changes: Partial<Parts> = {}) => answerKey({ ...PARTS, ...changes });

describe('another key for', () => {
  test.each<[string, Partial<Parts>]>([
    ['another tenant', directive({ tenant: 'u' })],
    ['another API key', directive({ key: 'l' })],
    ['another policy', directive({ policy: 'q' })],
    ['another classifier', directive({ classifier: 'd' })],
    ['another line', directive({ line: { ...OPEN_LINE, floor: 0.1 } })],
    ['another opening', directive({ line: { ...OPEN_LINE, opening: { tokens: 1, floor: 0.5 } } })],
    ['other weights', { bundle: 'c' }],
    ['another probe', { probe: 'v1' }],
    ['a seed that the client names', { seed: 1 }],
    ['another model', asked({ model: 'n' })],
    ['another prompt', asked({ messages: [{ role: 'user', content: 'Hello ' }] })],
    ['another role', asked({ messages: [{ role: 'system', content: 'Hello' }] })],
    ['another limit', asked({ max_tokens: null })],
    ['a stop string', asked({ stop: ['x'] })],
    ['another temperature', asked({ temperature: 0.1 })],
    ['another top_p', asked({ top_p: 0.9 })],
    ['a grammar', asked({ grammar: { type: 'json_object' } })],
    ['a penalty', asked({ repetition_penalty: 1.1 })],
    ["what a token's experts say", asked({ expert_logprobs: true })],
  ])('%s', async (_name, changes) => {
    expect(await keyOf(changes)).not.toBe(await keyOf());
  });

  test('each grammar, and each order of its properties', async () => {
    const ofSchema = (schema: string) => keyOf(asked({ grammar: { type: 'json_schema', schema } }));
    const schemas = ['{"properties":{"a":{},"b":{}}}', '{"properties":{"b":{},"a":{}}}', '{"properties":{"a":{}}}'];
    const keys = await Promise.all([...schemas.map(ofSchema), keyOf(asked({ grammar: { type: 'json_object' } }))]);
    expect(new Set(keys).size).toBe(4);
  });

  test('another draw secret, where anything is drawn', async () => {
    const drawn = { ...asked({ temperature: 1 }), seed: 5 };
    expect(await keyOf({ ...drawn, draws: 'e' })).not.toBe(await keyOf(drawn));
  });
});

describe('the same key for', () => {
  test.each<[string, Partial<Parts>]>([
    ['another seed of the edge', asked({ seed: 2 })],
    ['another draw secret, where nothing is drawn', { draws: 'e' }],
    [
      'the same fields in another order',
      // Every field is there, if in another order.
      { request: Object.fromEntries(Object.entries(request).reverse()) as GenerateBody },
    ],
  ])('%s', async (_name, changes) => {
    expect(await keyOf(changes)).toBe(await keyOf());
  });
});
