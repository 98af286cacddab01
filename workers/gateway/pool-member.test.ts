/** What counts of the helpfulness pool, which may be other people's. */
import { expect, test } from 'vitest';
import { parseChatRequest } from '#shared/api/chat-request.ts';
import { MODES } from '#shared/line/line.ts';
import { ROLES } from '#shared/protocol/expert-directive.ts';
import { refuseTooLong } from './backend-pool.ts';
import { costOf } from './limits-cost.ts';
import { inHelpfulnessPool, type PoolMember, unheard } from './pool-member.ts';
import { defaultModel, servedModels } from './served-models.ts';

const own: PoolMember = {
  ...unheard('http://own'),
  ...{ model: 'm', contextLength: 100, modes: ['logits', 'edge'], serves: ['safety'] },
};
const others = (boasts: Partial<PoolMember>) =>
  inHelpfulnessPool({ ...own, url: 'http://others', alive: true, modes: MODES, serves: ROLES, ...boasts });
const messages = [{ role: 'user' as const, content: 'x'.repeat(200) }];

test('its context is not what a request can cost', async () => {
  const chat = parseChatRequest({ model: 'm', messages });
  const members = [own, others({ contextLength: 2 ** 40 }), others({ contextLength: 2 ** 40, serves: [] })];
  expect(await costOf(chat, { members, maxTokensOfPolicy: null })).toMatchObject({ total: 100, context: 100 });
  expect(await costOf(chat, { members: members.slice(1), maxTokensOfPolicy: null })).toMatchObject({
    ...{ model: 'unknown', total: 0 },
  });
});

test('a prompt fits if it fits the others’ context, whatever it names, and only then', () => {
  const asked = { model: 'm', messages };
  const long = others({ contextLength: 2 ** 40, maxTokenBytes: 1000 });
  expect(() => refuseTooLong([own, long], asked)).toThrow('100');
  expect(() => refuseTooLong([{ ...own, maxTokenBytes: 16 }, others({ contextLength: 1 })], asked)).not.toThrow();
});

test('what it says about a model is not the model’s, and none is there for it alone', () => {
  const boasts = { contextLength: 1, created: 1, sampling: { ...own.sampling, temperature: 0 } };
  const members = [own, others(boasts), others({ ...boasts, model: 'theirs' })];
  const [alone] = servedModels([own]);
  expect(servedModels(members)).toEqual([{ ...alone, plimsoll: { ...alone!.plimsoll, modes: ['logits', 'edge'] } }]);
  expect(defaultModel(members)).toBe('m');
});
