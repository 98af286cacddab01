/**
 * Kept prefixes from request to request: what is read again, by whom, and what the client is told.
 * How long a first token takes follows from the tokens that its rows read. So these tests count
 * tokens and runs, and no time.
 */
import { describe, expect, test } from 'vitest';
import { Answer } from './answer.ts';
import type { Step } from './experts.ts';
import { ScriptedExperts, type ScriptedOptions } from './scripted-experts.ts';
import { request } from './testing/engine-contract.ts';
import { schedule } from './testing/schedule.ts';
import { babble, SCRIPTED_VOCAB } from './testing/scripted-engine.ts';

const options = {
  vocabulary: { eos: [0], banned: [], bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(id)) },
  proposal: 0.5,
  contextLength: 400,
};
const prompt = (count: number, seed = 0) => Array.from({ length: count }, (_, i) => 97 + ((i * 7 + seed) % 26));

/** A scheduler whose requests run one after another, and how much work each of them was. */
function serving(scripted: Partial<ScriptedOptions> = {}) {
  const experts = new ScriptedExperts(babble, { vocabSize: SCRIPTED_VOCAB, ...scripted });
  const work = { tokens: 0, runs: 0 };
  const append = experts.append.bind(experts);
  experts.append = (steps: readonly Step[]) => {
    work.runs++;
    work.tokens += steps.reduce((sum, { ids }) => sum + ids.length, 0);
    return append(steps);
  };
  const { scheduler, tokens, of, run } = schedule(experts, options);
  let id = 0;
  return {
    experts,
    scheduler,
    async ask(asked: Parameters<typeof request>[0], { isNobody = false } = {}) {
      Object.assign(work, { tokens: 0, runs: 0 });
      const { tenant, ...nobodys } = request({ maxTokens: 1, ...asked });
      scheduler.submit(++id, isNobody || tenant === undefined ? nobodys : { ...nobodys, tenant });
      await run();
      const end = of(id).events.at(-1);
      if (end?.type !== 'end') throw new Error(`no end: ${of(id).error?.message}`);
      return {
        ...work,
        ids: tokens(id).map((token) => token.id),
        cached: end.usage.prompt_tokens_details?.cached_tokens,
      };
    },
  };
}

describe('the same prompt again', () => {
  test('is read from its last whole block on, by both rows, and the client is told', async () => {
    const { ask } = serving();
    const asked = { promptIds: prompt(100), tenant: 'acme' };
    const cold = await ask(asked);
    expect(cold).toMatchObject({ tokens: 200, runs: 1, cached: 0 });
    expect(await ask(asked)).toEqual({ ...cold, tokens: 8, cached: 96 });
  });

  test.each(['logits', 'layers'] as const)('gets the same answer, and so does the next turn, mode %s', async (mode) => {
    const [kept, none] = [serving(), serving({ prefixBytes: 0 })];
    const line = { mode, floor: 0.2, opening: { tokens: 5, floor: 0.8 } };
    const asked = { promptIds: prompt(70), maxTokens: 40, line, tenant: 'acme' };
    const wanted = await none.ask(asked);
    for (let time = 0; time < 2; time++) expect((await kept.ask(asked)).ids).toEqual(wanted.ids);
    const next = { ...asked, promptIds: [...asked.promptIds, ...wanted.ids, ...prompt(20, 3)] };
    const [found, cold] = [await kept.ask(next), await none.ask(next)];
    expect(found.ids).toEqual(cold.ids);
    expect(found.tokens).toBeLessThan(cold.tokens);
    // The layers row has read the answer under other bounds than its prompt.
    expect(found.cached).toBe(mode === 'logits' ? 96 : 64);
    expect(cold.cached).toBe(0);
  });

  test('counts only the client’s own tokens, in the row that has recalled the fewest', async () => {
    const { ask } = serving();
    const promptIds = prompt(50);
    const rowPrompts = { safety: [...prompt(40, 9), ...promptIds] };
    const asked = { promptIds, rowPrompts, tenant: 'acme' };
    expect(await ask(asked)).toMatchObject({ tokens: 140, cached: 0 });
    // 80 of 90 tokens, of which 40 are the expert's, and 48 of 50.
    expect(await ask(asked)).toMatchObject({ tokens: 12, cached: 40 });
  });

  test('of a request that left while its prompt was read, what had been read is known', async () => {
    const { ask, scheduler, experts } = serving();
    const promptIds = prompt(350);
    scheduler.submit(99, request({ promptIds, tenant: 'acme' }));
    await scheduler.round();
    expect(experts.openCount).toBe(2);
    scheduler.cancel(99);
    // A chunk is 512 tokens of two rows.
    expect(await ask({ promptIds, tenant: 'acme' })).toMatchObject({ tokens: 2 * (350 - 256), cached: 256 });
  });

  test('after a failure in the middle of an answer, the prompt is still known', async () => {
    let broken = true;
    const { ask, experts } = serving();
    const append = experts.append.bind(experts);
    experts.append = (steps) => {
      const fails = broken && steps[0]!.ids.length === 1;
      return fails ? steps.map(() => Promise.reject(new Error('out of memory'))) : append(steps);
    };
    const asked = { promptIds: prompt(100), tenant: 'acme', maxTokens: 3 };
    await expect(ask(asked)).rejects.toThrow('The model failed to run.');
    broken = false;
    expect(await ask(asked)).toMatchObject({ cached: 96 });
    expect(experts.openCount).toBe(0);
  });
});

describe('another tenant', () => {
  test('reads every token itself, in as many runs, as if nobody had asked before', async () => {
    const { ask } = serving();
    const asked = { promptIds: prompt(100), maxTokens: 20 };
    const cold = await ask({ ...asked, tenant: 'acme' });
    expect(await ask({ ...asked, tenant: 'globex' })).toEqual(cold);
    expect((await ask({ ...asked, tenant: 'acme' })).tokens).toBeLessThan(cold.tokens);
  });

  test('and requests without a tenant share only with each other', async () => {
    const { ask } = serving();
    const asked = { promptIds: prompt(100) };
    await ask({ ...asked, tenant: 'acme' });
    expect((await ask(asked, { isNobody: true })).cached).toBe(0);
    expect((await ask(asked, { isNobody: true })).cached).toBe(96);
    expect((await ask({ ...asked, tenant: 'globex' })).cached).toBe(0);
  });

  test('finds what the operator has made public, up to its last whole block, and no more', async () => {
    const { ask } = serving();
    const publicTokens = { safety: 70, helpfulness: 70 };
    const begin = prompt(70);
    await ask({ promptIds: [...begin, ...prompt(60, 5)], tenant: 'acme', publicTokens });
    const other = { promptIds: [...begin, ...prompt(60, 5)], tenant: 'globex', publicTokens };
    expect(await ask(other)).toMatchObject({ tokens: 2 * (130 - 64), cached: 64 });
    expect(await ask(other)).toMatchObject({ cached: 128 });
  });

  test('finds the prompt of an expert, but not what follows it', async () => {
    const { ask } = serving();
    const own = prompt(64, 9);
    const asked = (tenant: string) => {
      const promptIds = prompt(50);
      return { promptIds, rowPrompts: { safety: [...own, ...promptIds] }, publicTokens: { safety: 64 }, tenant };
    };
    await ask(asked('acme'));
    expect(await ask(asked('globex'))).toMatchObject({ tokens: 50 + 50, cached: 0 });
  });
});

test('of a layers row, only what it read under the bounds of its prompt counts as read', async () => {
  const asked = (opening: { tokens: number; floor: number }, ids: number[]) =>
    new Answer(
      {
        ...request({ promptIds: prompt(4), line: { mode: 'layers', floor: 0.2, opening } }),
        resume: { ...new Answer(request({}), options).state(), ids, spent: 0 },
      },
      options,
    );
  const ids = [100, 101, 102, 103, 104, 105];
  const alike = asked({ tokens: 3, floor: 0.1 }, ids);
  const apart = asked({ tokens: 3, floor: 0.7 }, ids);
  const read = (answer: Answer, missing = 1) => answer.prefix('layers', { missing });
  expect(read(alike).ids).toEqual([...prompt(4), ...ids.slice(0, 5)]);
  expect(read(apart)).toEqual({
    ids: [...prompt(4), ...ids.slice(0, 2)],
    promptTokens: 4,
    bounds: { floor: 0.7, ceiling: 1 },
  });
  expect(read(apart, 8).ids).toEqual(prompt(2));
  const safety = { ids: [...prompt(4), ...ids.slice(0, 5)], promptTokens: 4 };
  expect(apart.prefix('safety', { missing: 1 })).toEqual(safety);
  // As long as the opening lasts, the bounds are those of the prompt.
  expect(read(asked({ tokens: 9, floor: 0.7 }, ids)).ids).toHaveLength(9);
});
