import { expect, test } from 'vitest';
import { examineBackend } from './examine-backend.ts';
import { unheard } from './pool-member.ts';

const served = { status: 'ok', backend: 'b1', model: 'demo', context_length: 96, max_token_bytes: 1 };
const load = {
  ...{ running: 1, waiting: 2, rows: 2, capacity: { rows: 32, waiting: 64 } },
  prefixes: { queried_tokens: 10, found_tokens: 5, bytes: 80 },
};

const examined = (report: object) =>
  examineBackend(unheard('http://one'), () => Promise.resolve(Response.json(report)));

test('what a backend says of its load is kept', async () => {
  expect(await examined({ ...served, ...load })).toMatchObject({ alive: true, model: 'demo', told: load });
});

test.each([
  ['nothing, as older ones do', {}],
  ['a part', { running: 1, waiting: 0 }],
  ['nonsense', { ...load, rows: -1 }],
])('a backend that says of its load %s is well all the same', async (_, said) => {
  const member = await examined({ ...served, ...said });
  expect(member).toMatchObject({ alive: true, model: 'demo' });
  expect(member.told).toBeUndefined();
});

test('the load of a backend that is dead now is not known', async () => {
  const before = await examined({ ...served, ...load });
  const member = await examineBackend(before, () => Promise.resolve(new Response('no', { status: 503 })));
  expect(member).toMatchObject({ alive: false, model: 'demo' });
  expect(member.told).toBeUndefined();
});
