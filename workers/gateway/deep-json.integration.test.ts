/** JSON that is nested deeper than a stack holds: a mistake of the caller, no failure of ours. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import { ask, type EdgeUnderTest, post, startEdgeUnderTest } from '../testing/edge-under-test.ts';

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest();
});
afterAll(() => under.dispose());

describe('JSON that is nested so deep that no stack holds it', () => {
  const deep = (depth: number, open: string, close: string) => open.repeat(depth) + close.repeat(depth);
  const schema = deep(20_000, '{"items":', '}').replace('}', '{}}');
  const brackets = deep(49_000, '[', ']');
  test.each<[string, string, string]>([
    ['guided_json', '/v1/chat/completions', `"guided_json":${schema}`],
    ['modalities', '/v1/chat/completions', `"modalities":${brackets}`],
    ['suffix', '/v1/completions', `"prompt":"Hi","suffix":${brackets}`],
    ['a chat template of tokenize', '/tokenize', `"prompt":"Hi","chat_template_kwargs":${brackets}`],
    ['an input of responses', '/v1/responses', `"input":${brackets}`],
  ])('%s', async (_name, path, field) => {
    const messages = path.includes('chat') ? '"messages":[{"role":"user","content":"Hi"}],' : '';
    const answer = await post(under.edge, path, `{"model":"scripted",${messages}${field}}`);
    const { error } = (await answer.json()) as ErrorBody;
    expect([answer.status, error.code, error.param]).toEqual([400, 'invalid_json', null]);
    expect(error.message).toContain('at most 200');
  });

  test('in a schema that is a string', async () => {
    const answer = await post(under.edge, '/v1/chat/completions', { ...ask('Hi'), guided_json: schema });
    const { error } = (await answer.json()) as ErrorBody;
    expect([answer.status, error.param]).toEqual([400, 'guided_json']);
  });
});
