import { describe, expect, test } from 'vitest';
import type { Line, Mode } from '#shared/line/line.ts';
import { DEFAULT_LIMITS } from './engine.ts';
import type { Source } from './experts.ts';
import { Scheduler } from './scheduler.ts';
import { type Script, ScriptedExperts, type ScriptedOptions } from './scripted-experts.ts';
import { request } from './testing/engine-contract.ts';
import { schedule } from './testing/schedule.ts';
import { babble, SCRIPTED_VOCAB } from './testing/scripted-engine.ts';

const options = {
  vocabulary: { eos: [0], banned: [], bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(id)) },
  proposal: 0.5,
  contextLength: 96,
};
const scripted = (script: Script = babble, rest: Partial<ScriptedOptions> = {}) =>
  new ScriptedExperts(script, { vocabSize: SCRIPTED_VOCAB, ...rest });

/** Fails sequences of the given source from `length` tokens on, if the prompt begins with 66. */
const failing =
  (broken: Source, length: number, fail: () => ArrayLike<number> = () => raise()): Script =>
  (source, ids, bounds) =>
    source === broken && ids[0] === 66 && ids.length >= length ? fail() : babble(source, ids, bounds);
const raise = (): never => {
  throw new Error('connection lost');
};

const bad = { promptIds: [66, 70, 71, 72], maxTokens: 10 };
const good = { promptIds: [7, 80, 81], maxTokens: 12 };

async function idsAlone(asked: Parameters<typeof request>[0], experts = scripted()): Promise<number[]> {
  const { scheduler, tokens, run } = schedule(experts, options);
  scheduler.submit(1, request(asked));
  await run();
  return tokens(1).map(({ id }) => id);
}

describe('when an expert fails', () => {
  test.each<[Mode, number | null]>([
    ['logits', null],
    ['logits', 20],
    ['layers', null],
  ])(
    'and it is not the safety expert, the answer goes on without it and its sequence is given back: %s, topK %s',
    async (mode, topK) => {
      const beside = mode === 'layers' ? 'layers' : 'helpfulness';
      const experts = scripted(failing(beside, 7), { topK });
      const { scheduler, tokens, of, run, warnings } = schedule(experts, options);
      scheduler.submit(1, request({ ...bad, line: { mode } }));
      scheduler.submit(2, request({ ...good, line: { mode } }));
      const open: number[] = [];
      while (await scheduler.round()) open.push(experts.openCount);
      await run();
      expect(tokens(1).map(({ weight }) => weight)).toEqual([0.5, 0.5, 0.5, 1, 1, 1, 1, 1, 1, 1]);
      expect(
        tokens(1)
          .slice(3)
          .map(({ lp_h }) => lp_h),
      ).toEqual(Array(7).fill(null));
      expect(of(1)).toMatchObject({
        error: null,
        events: expect.arrayContaining([expect.objectContaining({ type: 'end' })]),
      });
      // Each round draws one token. The fourth is the one that fails.
      expect(open.slice(0, 4)).toEqual([4, 4, 4, 3]);
      expect(warnings).toEqual([`answer 1 has lost its expert ${beside}: Error: connection lost`]);
      expect(experts.openCount).toBe(0);
      expect(tokens(2).map(({ id }) => id)).toEqual(
        await idsAlone({ ...good, line: { mode } }, scripted(babble, { topK })),
      );
      expect(tokens(2).every(({ weight }) => weight === 0.5)).toBe(true);
      // A row that is not a distribution closes the gate just like a missing row.
      if (topK === null) {
        const nan = scripted(failing(beside, 7, () => Array(SCRIPTED_VOCAB).fill(Number.NaN)));
        expect(tokens(1).map(({ id }) => id)).toEqual(await idsAlone({ ...bad, line: { mode } }, nan));
      }
    },
  );

  test('from the prompt on, the answer is what the safety expert draws alone', async () => {
    const ids = await idsAlone(bad, scripted(failing('helpfulness', 0)));
    expect(ids).toEqual(await idsAlone({ ...bad, line: { action: 'safety_only' } }));
  });

  test.each([0, 7])(
    'and it is the safety expert, only its own answer ends with expert_failed (from %d tokens on)',
    async (length) => {
      const experts = scripted(failing('safety', length));
      const { scheduler, tokens, of, run } = schedule(experts, options);
      scheduler.submit(1, request(bad));
      scheduler.submit(2, request(good));
      await run();
      expect(of(1).error).toMatchObject({ code: 'expert_failed', message: 'The model failed to run.' });
      expect(of(1).error?.cause).toMatchObject({ message: 'connection lost' });
      expect(tokens(1)).toHaveLength(length === 0 ? 0 : 3);
      expect(of(2).error).toBeNull();
      expect(tokens(2).map(({ id }) => id)).toEqual(await idsAlone(good));
      expect(experts.openCount).toBe(0);
    },
  );

  test('and opens no more sequences, a request that needs one ends', async () => {
    const experts = scripted();
    const { scheduler, of, run } = schedule(experts, options);
    await experts.dispose();
    scheduler.submit(1, request(good));
    await run();
    expect(of(1).error).toMatchObject({ code: 'expert_failed' });
    expect(scheduler.stats).toMatchObject({ running: 0, waiting: 0, rows: 0 });
  });
});

test.each([1, 2])(
  'a cancelled answer gives its sequences back at once in round %d, and the others are not affected',
  async (round) => {
    const experts = scripted(babble, { stepMs: 2 });
    const { scheduler, tokens, of, run } = schedule(experts, options);
    scheduler.submit(1, request(bad));
    scheduler.submit(2, request(good));
    if (round === 2) await scheduler.round();
    const before = tokens(1).length;
    const under = scheduler.round();
    expect(experts.openCount).toBe(4);
    scheduler.cancel(1);
    expect(experts.openCount).toBe(2);
    expect(scheduler.stats).toMatchObject({ running: 1, rows: 2 });
    await under;
    await run();
    expect(tokens(1)).toHaveLength(before);
    expect(of(1).error).toBeNull();
    expect(tokens(2).map(({ id }) => id)).toEqual(await idsAlone(good));
    scheduler.cancel(99);
  },
);

test('a waiting answer that is cancelled never joins', async () => {
  const experts = scripted();
  const { scheduler, tokens, run } = schedule(experts, { ...options, limits: { maxRows: 2 } });
  scheduler.submit(1, request(good));
  scheduler.submit(2, request(bad));
  await scheduler.round();
  expect(scheduler.stats).toMatchObject({ running: 1, waiting: 1, rows: 2 });
  scheduler.cancel(2);
  await run();
  expect(tokens(2)).toEqual([]);
});

test('a request has started once it is in the batch, before the run that reads its prompt', async () => {
  const told: number[] = [];
  const outcomes: string[] = [];
  const scheduler = new Scheduler(scripted(babble, { onRun: () => told.push(outcomes.length) }), {
    ...options,
    limits: DEFAULT_LIMITS,
    emit: (_, outcome) => outcomes.push(...('error' in outcome ? ['error'] : outcome.events.map(({ type }) => type))),
    onJoined: () => outcomes.push('told'),
  });
  scheduler.submit(1, request(good));
  await scheduler.round();
  expect(outcomes).toEqual(['start', 'told', 'token']);
  expect(told).toEqual([2]);
});

test('tells every few seconds how far a long prompt is', async () => {
  let now = 0;
  const experts = scripted(babble, { onRun: () => (now += 1500) });
  const { scheduler, of, run } = schedule(experts, { ...options, now: () => now, limits: { maxPrefillTokens: 20 } });
  scheduler.submit(1, request({ ...good, promptIds: Array(80).fill(70), maxTokens: 2 }));
  await run();
  const told = of(1).events.filter(({ type }) => type === 'reading');
  expect(told).toEqual([20, 40, 60].map((read) => ({ type: 'reading', read, of: 80 })));
  expect(of(1).events.map(({ type }) => type)).toEqual([
    'start',
    ...told.map(() => 'reading'),
    'token',
    'token',
    'end',
  ]);
});

test.each([
  ['reading prompts costs nothing', 0],
  ['chunks are small', 1000],
])(
  'two tenants that keep asking share the tokens, even if one has more clients and larger requests: %s',
  async (_, ms) => {
    let now = 0;
    const experts = scripted(babble, {
      onRun: (steps) => {
        now += 10 + ms * steps.length * Math.max(...steps.map(({ ids }) => ids.length));
      },
    });
    const { scheduler, of, tokens } = schedule(experts, { ...options, now: () => now, limits: { maxRows: 8 } });
    const clients = [...Array(36).fill('crowd'), ...Array(8).fill('other')] as ('crowd' | 'other')[];
    const drawn = { crowd: 0, other: 0 };
    const asked: number[] = [];
    let id = 0;
    const ask = (client: number) => {
      asked[client] = ++id;
      const maxTokens = clients[client] === 'crowd' ? 20 : 5;
      scheduler.submit(id, request({ ...good, tenant: clients[client]!, maxTokens }));
    };
    for (const client of clients.keys()) ask(client);
    for (let round = 0; round < 600; round++) {
      await scheduler.round();
      clients.forEach((tenant, client) => {
        const { events } = of(asked[client]!);
        if (events.at(-1)?.type !== 'end') return;
        drawn[tenant] += good.promptIds.length + tokens(asked[client]!).length;
        ask(client);
      });
    }
    const share = drawn.other / (drawn.other + drawn.crowd);
    expect(share).toBeGreaterThan(0.4);
    expect(share).toBeLessThan(0.6);
  },
);

test('a large request joins before long even if smaller ones keep coming', async () => {
  const { scheduler, of } = schedule(scripted(), { ...options, limits: { maxRows: 4 } });
  const started = (id: number) => of(id).events.some(({ type }) => type === 'start');
  for (let id = 1; id <= 10; id++) scheduler.submit(id, request({ ...good, tenant: `small ${id % 3}` }));
  scheduler.submit(1000, request({ promptIds: Array(90).fill(70), maxTokens: null, tenant: 'large' }));
  let rounds = 0;
  for (let id = 11; !started(1000); id++) {
    scheduler.submit(id, request({ ...good, tenant: `small ${id % 3}` }));
    await scheduler.round();
    expect(++rounds).toBeLessThan(200);
  }
});

describe('experts with a prompt of their own', () => {
  const rowPrompts = { safety: [90, 91, 92, 93, 94, 95, ...good.promptIds], helpfulness: [97, ...good.promptIds] };

  test('read it instead of the client’s; draws, usage and max_tokens count only the client’s tokens', async () => {
    const { scheduler, tokens, of, run } = schedule(scripted(), options);
    scheduler.submit(1, request({ ...good, rowPrompts, maxTokens: 9 }));
    await run();
    const script: Script = (source, ids) => {
      const own = rowPrompts[source as 'safety' | 'helpfulness'];
      return babble(source, [...own, ...ids.slice(good.promptIds.length)]);
    };
    expect(tokens(1).map(({ id }) => id)).toEqual(await idsAlone({ ...good, maxTokens: 9 }, scripted(script)));
    expect(of(1).events[0]).toEqual({ type: 'start', prompt_tokens: 3 });
    expect(of(1).events.at(-1)).toMatchObject({ usage: { prompt_tokens: 3, completion_tokens: 9, total_tokens: 12 } });
  });

  test('leave less room for the client, because the context must hold the longest row', async () => {
    const ends = async (promptTokens: number, line: Partial<Line> = {}) => {
      const promptIds: number[] = Array(promptTokens).fill(70);
      const { scheduler, tokens, of, run } = schedule(scripted(), { ...options, contextLength: 20 });
      const own = { safety: [1, 2, ...promptIds], helpfulness: [1, 2, 3, 4, 5, 6, ...promptIds] };
      scheduler.submit(1, request({ maxTokens: null, promptIds, rowPrompts: own, line }));
      await run();
      return of(1).error ?? tokens(1).length;
    };
    expect(await ends(4)).toBe(20 - 6 - 4);
    expect(await ends(13)).toBe(1);
    expect(await ends(14)).toMatchObject({
      code: 'context_length_exceeded',
      message: expect.stringMatching(/length is 20 tokens.*own system prompt takes 6 of them.*have 14 tokens/),
    });
    // Only rows that run count.
    expect(await ends(14, { action: 'safety_only' })).toBe(20 - 2 - 14);
  });

  test('may have a shorter prompt than the client’s, whose template adds a default system prompt', async () => {
    const promptIds: number[] = Array(18).fill(70);
    const { scheduler, tokens, of, run } = schedule(scripted(), { ...options, contextLength: 20 });
    const short = { safety: [70], helpfulness: [71, 72] };
    scheduler.submit(1, request({ maxTokens: null, promptIds, rowPrompts: short }));
    scheduler.submit(2, request({ promptIds: [...promptIds, 70, 70], rowPrompts: { safety: [70] } }));
    await run();
    expect(tokens(1)).toHaveLength(18);
    expect(of(2).error?.message).toMatch(/length is 20 tokens\. Your messages have 20 tokens/);
  });
});

test('a scheduler does not start with a logits router over experts without hidden states', () => {
  class Blind extends ScriptedExperts {
    override readonly abilities = {
      hidden: false,
      layers: true,
      fork: true,
      score: true,
      draft: 0,
      sums: false,
      prefixes: false,
      topK: null,
    };
  }
  const experts = new Blind(babble, { vocabSize: SCRIPTED_VOCAB });
  expect(() => schedule(experts, { ...options, proposal: () => 0.5 })).toThrow(/needs experts that give hidden states/);
});

test('a resumed request goes on in the batch, and one that cannot go on is refused before any work', async () => {
  const asked = request(good);
  const whole = schedule(scripted(), options);
  whole.scheduler.submit(1, asked);
  await whole.run();
  const all = whole.tokens(1);
  const resume = {
    ids: all.slice(0, 5).map(({ id }) => id),
    spent: all[4]!.spent!,
    weights: { count: 5, min: 0.5, mean: 0.5, max: 0.5 },
    ran: { safety: 5, helpfulness: 5 },
  };
  const { scheduler, tokens, of, run } = schedule(scripted(), options);
  scheduler.submit(1, { ...asked, resume });
  scheduler.submit(2, request(bad));
  scheduler.submit(3, { ...asked, maxTokens: 4, resume });
  scheduler.submit(4, { ...asked, maxTokens: 5, resume });
  await run();
  expect(tokens(1)).toEqual(all.slice(5));
  expect(of(1).events.at(-1)).toEqual(whole.of(1).events.at(-1));
  expect(tokens(2)).toHaveLength(10);
  expect(of(3)).toMatchObject({ events: [], error: { code: 'invalid_request' } });
  // Nothing is left to draw, so only its end is told.
  expect(of(4).events.map(({ type }) => type)).toEqual(['start', 'end']);
  expect(of(4).events.at(-1)).toMatchObject({ finish_reason: 'length', usage: { completion_tokens: 5 } });
  expect(scheduler.stats).toMatchObject({ running: 0, rows: 0 });
});
