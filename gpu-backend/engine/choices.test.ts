/** Several answers to one request: what they share, and what each has for itself. */
import { describe, expect, test } from 'vitest';
import { seedKey } from '#shared/gate/index.ts';
import { BACKEND_MODES, type Line } from '#shared/line/line.ts';
import type { EngineEvent, EngineRequest } from './engine.ts';
import type { Step } from './experts.ts';
import { type Script, ScriptedExperts, type ScriptedOptions } from './scripted-experts.ts';
import { request } from './testing/engine-contract.ts';
import { schedule } from './testing/schedule.ts';
import { babble, SCRIPTED_VOCAB } from './testing/scripted-engine.ts';

const options = {
  vocabulary: {
    eos: [0],
    banned: [],
    bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(id)),
  },
  proposal: 0.5,
  contextLength: 96,
};
const PROMPT = [7, 70, 71, 72];

/** Counts the prompt tokens that are read. */
class Counting extends ScriptedExperts {
  promptTokens = 0;
  constructor(script: Script = babble, rest: Partial<ScriptedOptions> = {}) {
    super(script, { vocabSize: SCRIPTED_VOCAB, ...rest });
  }
  override append(steps: readonly Step[]) {
    for (const { ids } of steps) if (ids.length > 1) this.promptTokens += ids.length;
    return super.append(steps);
  }
}
class Unforking extends Counting {
  override readonly abilities = {
    hidden: true,
    layers: false,
    fork: false,
    score: true,
    draft: 0,
    sums: false,
    prefixes: false,
    topK: null,
  };
}

const keys = (n: number) => Array.from({ length: n }, (_, choice) => seedKey(100 + choice));

/** A request for n answers. */
function asking(n: number, changes: Parameters<typeof request>[0] = {}): EngineRequest {
  const [key, ...moreKeys] = keys(n);
  const asked = request({ promptIds: PROMPT, ...changes });
  return { ...asked, sampling: { ...asked.sampling, key: key! }, moreKeys };
}

const choiceOf = (event: EngineEvent) => ('choice' in event ? event.choice : undefined) ?? 0;
const belongsTo = (choice: number) => (event: EngineEvent) =>
  ['token', 'text', 'end'].includes(event.type) && choiceOf(event) === choice;
const withoutChoice = ({ choice: _, remaining: __, total: ___, ...event }: EngineEvent & Record<string, unknown>) =>
  event;

/** The events of the answer with this choice's key, asked for alone. */
async function alone(asked: EngineRequest, choice: number, experts = new Counting()) {
  const { scheduler, of, run } = schedule(experts, options);
  const key = [asked.sampling.key, ...(asked.moreKeys ?? [])][choice]!;
  scheduler.submit(1, { ...asked, sampling: { ...asked.sampling, key }, moreKeys: [] });
  await run();
  return of(1).events.slice(1);
}

const lines: Partial<Line>[] = [
  ...BACKEND_MODES.map((mode) => ({ mode, floor: 0.2, budget: 3 })),
  { action: 'safety_only' },
];

test.each(lines)('each answer is the one that its key draws alone, with its own account: %j', async (line) => {
  const asked = asking(5, { line, maxTokens: 20, stop: ['ab', 'q'] });
  const { scheduler, of, run } = schedule(new Counting(), options);
  scheduler.submit(1, asked);
  await run();
  const { events, error } = of(1);
  expect(error).toBeNull();
  expect(events[0]).toEqual({ type: 'start', prompt_tokens: 4 });
  const texts = new Set<string>();
  for (let choice = 0; choice < 5; choice++) {
    const own = events.filter(belongsTo(choice));
    expect(own.map(withoutChoice)).toEqual(await alone(asked, choice));
    expect(own.every((event) => 'choice' in event === choice > 0)).toBe(true);
    texts.add(own.map((event) => ('text' in event ? event.text : '')).join(''));
  }
  expect(texts.size).toBe(5);
});

test('the last end says that none remains, and has the prompt once and the tokens of all', async () => {
  const { scheduler, of, tokens, run } = schedule(new Counting(), options);
  scheduler.submit(1, asking(4, { maxTokens: 15, stop: ['a'] }));
  await run();
  const ends = of(1).events.filter((event) => event.type === 'end');
  expect(ends.map(({ remaining }) => remaining)).toEqual([3, 2, 1, undefined]);
  const drawn = ends.reduce((sum, { usage }) => sum + usage.completion_tokens, 0);
  expect(drawn).toBe(tokens(1).length);
  expect(ends.map(({ total }) => total)).toEqual([
    undefined,
    undefined,
    undefined,
    {
      prompt_tokens: 4,
      completion_tokens: drawn,
      total_tokens: 4 + drawn,
      prompt_tokens_details: { cached_tokens: 0 },
    },
  ]);
  expect(of(1).events.at(-1)).toBe(ends.at(-1));
});

describe('the prompt', () => {
  const read = async (experts: Counting, n: number, limits = {}) => {
    const { scheduler, of, run } = schedule(experts, { ...options, limits });
    scheduler.submit(1, asking(n, { maxTokens: 6 }));
    let most = 0;
    while (await scheduler.round()) most = Math.max(most, experts.openCount);
    await run();
    const ids = Array.from({ length: n }, (_, choice) =>
      of(1).events.flatMap((event) => (event.type === 'token' && choiceOf(event) === choice ? [event.id] : [])),
    );
    expect(of(1).events.filter(({ type }) => type === 'start')).toHaveLength(1);
    expect(experts.openCount).toBe(0);
    return { tokens: experts.promptTokens, ids, most };
  };

  test('is read once for all answers, on whole rows and on truncated ones', async () => {
    expect(await read(new Counting(), 6)).toMatchObject({ tokens: 2 * PROMPT.length, most: 12 });
    expect(await read(new Counting(babble, { topK: 20 }), 6)).toMatchObject({ tokens: 2 * PROMPT.length });
  });

  test('is read once for each answer if sequences cannot be forked; the answers are the same', async () => {
    const forked = await read(new Counting(), 3);
    const read3 = await read(new Unforking(), 3);
    expect(read3.tokens).toBe(3 * 2 * PROMPT.length);
    expect(read3.ids).toEqual(forked.ids);
  });

  test('is read again for the answers that do not fit into the batch with the first ones', async () => {
    const whole = await read(new Counting(), 7);
    const small = await read(new Counting(), 7, { maxRows: 6 });
    expect(small.tokens).toBe(3 * 2 * PROMPT.length);
    expect(small.most).toBeLessThanOrEqual(6);
    expect(small.ids).toEqual(whole.ids);
  });

  test('is read again for the answers that do not fit into the memory for keys and values with the first ones', async () => {
    // An answer takes two rows of ten tokens.
    const whole = await read(new Counting(), 5);
    const small = await read(new Counting(babble, { bytesPerToken: 1 }), 5, { kvBytes: 45 });
    expect(small.tokens).toBe(3 * 2 * PROMPT.length);
    expect(small.most).toBe(4);
    expect(small.ids).toEqual(whole.ids);
  });

  test('keeps places for the answers to come, so that nobody else takes them', async () => {
    const experts = new Counting();
    const { scheduler, of } = schedule(experts, { ...options, limits: { maxRows: 8 } });
    scheduler.submit(1, asking(3, { maxTokens: 9 }));
    scheduler.submit(2, asking(2, { maxTokens: 9, tenant: 'other' }));
    while (await scheduler.round()) expect(experts.openCount).toBeLessThanOrEqual(8);
    for (const id of [1, 2]) expect(of(id).events.at(-1)).toMatchObject({ type: 'end' });
  });
});

test('several requests for several answers get the same as alone, whatever joins and leaves', async () => {
  const { scheduler, of, run } = schedule(new Counting(), { ...options, limits: { maxRows: 12 } });
  const requests = [asking(3, { maxTokens: 5 }), asking(1), asking(4, { maxTokens: 12, promptIds: [7, 99] })];
  requests.forEach((asked, id) => {
    scheduler.submit(id, asked);
  });
  await run();
  for (const [id, asked] of requests.entries()) {
    for (let choice = 0; choice <= asked.moreKeys!.length; choice++) {
      expect(of(id).events.filter(belongsTo(choice)).map(withoutChoice)).toEqual(await alone(asked, choice));
    }
  }
});

test.each([0, 1, 4])('cancelling gives all sequences back at once, after %i rounds', async (rounds) => {
  const experts = new Counting(babble, { stepMs: 2 });
  const { scheduler, of, run } = schedule(experts, { ...options, limits: { maxRows: 6 } });
  scheduler.submit(1, asking(5));
  for (let round = 0; round < rounds; round++) await scheduler.round();
  const under = scheduler.round();
  const before = of(1).events.length;
  scheduler.cancel(1);
  expect(experts.openCount).toBe(0);
  expect(scheduler.stats).toMatchObject({ running: 0, waiting: 0, rows: 0 });
  await under;
  await run();
  expect(of(1).events).toHaveLength(before);
});

describe('when the safety expert fails', () => {
  /** Fails an answer that begins with this token. */
  const failing =
    (first: number): Script =>
    (source, ids, bounds) => {
      if (source === 'safety' && ids[PROMPT.length] === first) throw new Error('connection lost');
      return babble(source, ids, bounds);
    };

  test('in one answer, the whole request ends with one error, and other requests go on', async () => {
    const asked = asking(4, { maxTokens: 12 });
    const [token] = (await alone(asked, 2)).filter((event) => event.type === 'token');
    const experts = new Counting(failing(token!.id));
    const { scheduler, of, run } = schedule(experts, options);
    scheduler.submit(1, asked);
    scheduler.submit(2, asking(1, { promptIds: [7, 80] }));
    await run();
    expect(of(1).error).toMatchObject({ code: 'expert_failed' });
    expect(of(1).events.filter(({ type }) => type === 'end')).toEqual([]);
    expect(of(2).events.at(-1)).toMatchObject({ type: 'end' });
    expect(experts.openCount).toBe(0);
    expect(scheduler.stats).toMatchObject({ running: 0, waiting: 0, rows: 0 });
  });

  test('while it reads the prompt, no answer begins', async () => {
    const experts = new Counting(() => {
      throw new Error('connection lost');
    });
    const { scheduler, of, run } = schedule(experts, { ...options, limits: { maxRows: 4 } });
    scheduler.submit(1, asking(5));
    await run();
    expect(of(1).error).toMatchObject({ code: 'expert_failed' });
    expect(of(1).events.map(({ type }) => type)).toEqual(['start']);
    expect(experts.openCount).toBe(0);
  });
});

test('an answer whose other expert failed while it read the prompt goes on without it, and so do all', async () => {
  const script: Script = (source, ids) => {
    if (source === 'helpfulness') throw new Error('connection lost');
    return babble(source, ids);
  };
  const experts = new Counting(script);
  const { scheduler, tokens, run } = schedule(experts, options);
  const asked = asking(3, { maxTokens: 8 });
  scheduler.submit(1, asked);
  await run();
  expect(new Set(tokens(1).map(({ weight }) => weight))).toEqual(new Set([1]));
  expect(experts.openCount).toBe(0);
});

test('one answer can be resumed, not several', async () => {
  const { scheduler, of } = schedule(new Counting(), options);
  const state = {
    ids: [70],
    spent: 0,
    weights: { min: 1, mean: 1, max: 1, count: 1 },
    ran: {},
    text: { bytes: [] },
    stops: { held: '' },
  };
  scheduler.submit(1, { ...asking(2), resume: state });
  expect(of(1).error).toMatchObject({ code: 'invalid_request' });
});
