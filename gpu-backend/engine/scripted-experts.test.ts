import { expect, test } from 'vitest';
import { logSoftmax } from '#shared/gate/index.ts';
import { type Script, ScriptedExperts, type ScriptedOptions } from './scripted-experts.ts';
import { testExperts } from './testing/experts-contract.ts';
import { feed, someIds } from './testing/feed-experts.ts';
import { babble, SCRIPTED_VOCAB } from './testing/scripted-engine.ts';

const scripted = (options: Partial<ScriptedOptions> = {}, script: Script = babble) =>
  new ScriptedExperts(script, { vocabSize: SCRIPTED_VOCAB, hidden: (_, ids) => [ids.length], ...options });

const abilities = {
  hidden: true,
  layers: true,
  fork: true,
  score: true,
  draft: 0,
  sums: true,
  prefixes: true,
  topK: null,
};

testExperts('scripted', { create: async (bounds) => scripted(bounds), abilities, tolerance: 0 });

testExperts('scripted, truncated rows', {
  create: async (bounds) => scripted({ topK: 5, draft: 5, ...bounds }),
  abilities: { ...abilities, draft: 5, layers: false, topK: 5 },
  tolerance: 0,
});

testExperts('scripted, without kept prefixes and sums', {
  create: async () => scripted({ prefixBytes: 0, sums: false }),
  abilities: { ...abilities, sums: false, prefixes: false },
  tolerance: 0,
});

test('truncated to the whole vocabulary, a row is the whole row', async () => {
  const [whole, truncated] = [scripted(), scripted({ topK: SCRIPTED_VOCAB })];
  const { row } = await feed(whole, whole.open('safety'), someIds(5));
  const { row: all } = await feed(truncated, truncated.open('safety'), someIds(5));
  if (!('logits' in row) || 'logits' in all) throw new Error('one whole and one truncated');
  expect(Array.from(all.ids)).toEqual(Array.from({ length: SCRIPTED_VOCAB }, (_, id) => id));
  expect(all.logprobs).toEqual(logSoftmax(row.logits));
});

test('among equals, a truncated row holds the lowest ids', async () => {
  const experts = scripted({ topK: 3 }, () => [0, 1, 0, 0, 1, 0]);
  const { row } = await feed(experts, experts.open('safety'), [1]);
  // The logits of all other ids are 0 as well.
  expect('ids' in row && [...row.ids]).toEqual([0, 1, 4]);
});

test.each([null, 4])('a script that throws fails its own step, which may be tried again (topK %s)', async (topK) => {
  let broken = true;
  const script: Script = (source, ids) => {
    if (source === 'helpfulness' && ids.length === 4 && broken) throw new Error('out of memory');
    return babble(source, ids);
  };
  const experts = scripted({ topK }, script);
  const [safety, helpfulness] = [experts.open('safety'), experts.open('helpfulness')];
  const steps = [
    { sequence: safety, ids: someIds(4), beside: helpfulness },
    { sequence: helpfulness, ids: someIds(4), beside: safety },
  ];
  const [fine, failed] = await Promise.allSettled(experts.append(steps));
  expect(fine!.status).toBe('fulfilled');
  expect(failed).toMatchObject({ status: 'rejected', reason: { message: 'out of memory' } });
  broken = false;
  const fresh = scripted({ topK });
  const again = await feed(experts, helpfulness, someIds(4));
  expect(again.row).toEqual((await feed(fresh, fresh.open('helpfulness'), someIds(4))).row);
});

test('truncating a row that is not a distribution fails', async () => {
  const experts = scripted({ topK: 4 }, () => [Number.NaN]);
  await expect(feed(experts, experts.open('safety'), [1])).rejects.toThrow('no distribution');
});
