/** vLLM's `/tokenize`, `/detokenize`, `/health` and `/version`, in workerd. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import { DetokenizeAnswer, TokenizeAnswer } from '#shared/api/tokenize.ts';
import manifest from '../../package.json' with { type: 'json' };
import { type EdgeUnderTest, post, startEdgeUnderTest } from '../testing/edge-under-test.ts';
import type { AccountCall } from '../testing/worker/account-call.ts';

let under: EdgeUnderTest;
let several: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest({ limits: { limited: { requests_per_minute: 2, tokens_per_day: 1 } } });
  several = await startEdgeUnderTest({ backendCount: 2, modelOf: (index) => `model-${index}` });
});
afterAll(async () => {
  await under.dispose();
  await several.dispose();
});

async function errorOf(answer: Response) {
  const { error } = (await answer.json()) as ErrorBody;
  return { status: answer.status, code: error.code, param: error.param };
}
const HI = [72, 105];
const messages = [{ role: 'user', content: 'Hi' }];

describe('/tokenize', () => {
  test.each<[string, object, Partial<TokenizeAnswer>]>([
    ['a text, with special tokens', { prompt: 'Hi' }, { tokens: [256, ...HI], count: 3 }],
    ['without them', { prompt: 'Hi', add_special_tokens: false }, { tokens: HI, count: 2 }],
    ['an empty text', { prompt: '', add_special_tokens: false }, { tokens: [], count: 0 }],
    ['a conversation', { messages }, { tokens: [...HI, 62], count: 3 }],
    ['without the beginning of an answer', { messages, add_generation_prompt: false }, { tokens: HI }],
    ['with the names of its tokens', { prompt: 'Hi', return_token_strs: true }, { token_strs: ['<bos>', 'H', 'i'] }],
    [
      'with tools, as the model would be told of them',
      { messages, tools: [{ type: 'function', function: { name: 'f', strict: true } }] },
      { tokens: [...Buffer.from('f|Hi>')] },
    ],
    ['with what asks for nothing', { messages, tools: [], chat_template: null, return_token_strs: null }, { count: 3 }],
  ])('%s', async (_name, body, expected) => {
    for (const named of [{ model: 'scripted' }, {}]) {
      const answer = await post(under.edge, '/tokenize', { ...named, ...body });
      expect(TokenizeAnswer.parse(await answer.json())).toMatchObject({
        max_model_len: 64,
        token_strs: null,
        ...expected,
      });
    }
  });

  test.each<[string, object, number, string, string]>([
    ['neither text nor messages', {}, 400, 'missing_required_parameter', 'prompt'],
    ['both', { prompt: 'Hi', messages }, 400, 'invalid_value', 'prompt'],
    ['several texts', { prompt: ['Hi'] }, 400, 'invalid_type', 'prompt'],
    ['another template', { messages, chat_template: '{{ x }}' }, 400, 'unsupported_parameter', 'chat_template'],
    ['tools of a text', { prompt: 'Hi', tools: [{}] }, 400, 'unknown_parameter', 'tools'],
    ['a tool that is none', { messages, tools: [{}] }, 400, 'missing_required_parameter', 'tools[0].type'],
    ['an open end', { messages, continue_final_message: true }, 400, 'unsupported_parameter', 'continue_final_message'],
    ['a typo', { prompt: 'Hi', add_special_token: true }, 400, 'unknown_parameter', 'add_special_token'],
    ['an unknown model', { model: 'gpt-9', prompt: 'Hi' }, 404, 'model_not_found', 'model'],
  ])('refuses %s', async (_name, body, status, code, param) => {
    expect(await errorOf(await post(under.edge, '/tokenize', body))).toEqual({ status, code, param });
  });

  test('wants the model named where there are several, and names them', async () => {
    const answer = await post(several.edge, '/tokenize', { prompt: 'Hi' });
    const { error } = (await answer.json()) as ErrorBody;
    expect([answer.status, error.code]).toEqual([400, 'missing_required_parameter']);
    expect(error.message).toContain("'model-0' or 'model-1'");
    const named = await post(several.edge, '/tokenize', { model: 'model-1', prompt: 'Hi' });
    expect(named.status).toBe(200);
  });

  test('is 503, which may be tried again, while the only backend does not know this kind of work', async () => {
    const backend = under.backends[0]!;
    backend.tokenizes = false;
    const answer = await post(under.edge, '/tokenize', { prompt: 'Hi' });
    backend.tokenizes = true;
    expect(await errorOf(answer)).toMatchObject({ status: 503, code: 'backend_unavailable' });
  });
});

test('/detokenize gives the text back', async () => {
  const answer = await post(under.edge, '/detokenize', { tokens: [256, ...Buffer.from('Grüße')] });
  expect(DetokenizeAnswer.parse(await answer.json())).toEqual({ prompt: 'Grüße' });
  const wrong = await post(under.edge, '/detokenize', { tokens: [-1] });
  expect(await errorOf(wrong)).toEqual({ status: 400, code: 'integer_below_min_value', param: 'tokens[0]' });
});

test('both need a key, and count against its limits on requests and none on tokens', async () => {
  for (const route of ['/tokenize', '/detokenize']) {
    expect(await errorOf(await post(under.edge, route, { prompt: 'Hi' }, 'pk-wrong'))).toMatchObject({ status: 401 });
  }
  const first = await post(under.edge, '/tokenize', { prompt: 'Hi' }, 'pk-test-limited');
  expect([first.status, first.headers.get('x-ratelimit-remaining-requests')]).toEqual([200, '1']);
  const second = await post(under.edge, '/detokenize', { tokens: HI }, 'pk-test-limited');
  expect(second.status).toBe(200);
  const third = await post(under.edge, '/tokenize', { prompt: 'Hi' }, 'pk-test-limited');
  expect(third.headers.get('retry-after')).toMatch(/^\d+$/);
  expect(await errorOf(third)).toMatchObject({ status: 429, code: 'rate_limit_exceeded' });
  const body = JSON.stringify({
    tenant: 'limited',
    call: 'rows',
    argument: 'SELECT tokens, state FROM charges',
  } satisfies AccountCall);
  const rows = await fetch(`${under.edge.url}/testing/account`, { method: 'POST', body });
  expect(((await rows.json()) as { tokens: number }[]).map(({ tokens }) => tokens)).toEqual([0, 0]);
});

test('/health is a status without a body, and /version says the version', async () => {
  const health = await fetch(`${under.edge.url}/health`);
  expect([health.status, await health.text()]).toEqual([200, '']);
  const version = await fetch(`${under.edge.url}/version`);
  expect(await version.json()).toEqual({ version: manifest.version });
});
