/** Rows for somebody else to draw from, over a scripted engine. */
import { afterEach, expect, test } from 'vitest';
import { seedKey } from '#shared/gate/index.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import type { ExpertRow } from '#shared/protocol/expert-messages.ts';
import type { Engine, EngineRequest, RowsWish, TakenToken } from './engine.ts';
import { RowTeller } from './row-teller.ts';
import { until } from './testing/engine-contract.ts';
import { babble, startScriptedEngine } from './testing/scripted-engine.ts';

const PROMPT = [3, 1, 4];
let engine: Engine;
afterEach(() => engine.close());

async function rows(wish: Partial<RowsWish>, request: Partial<EngineRequest> = {}) {
  engine = await startScriptedEngine({ contextLength: 64 });
  let take: (taken: TakenToken) => void = () => {};
  const left = new AbortController();
  const events = engine.generate(
    {
      promptIds: PROMPT,
      maxTokens: 12,
      stop: [],
      sampling: { key: seedKey(1), temperature: 1, topP: 1 },
      line: { ...OPEN_LINE, mode: 'edge' },
      ignoresEnd: true,
      rows: { expert: 'safety', topK: null, ahead: 0, ...wish },
      ...request,
    },
    {
      signal: left.signal,
      takes: {
        listen: (listener) => {
          take = listener;
        },
      },
    },
  );
  const row = async (): Promise<ExpertRow> => {
    for (;;) {
      const { value } = await events.next();
      if (value?.type === 'row') return value.row;
      if (value?.type !== 'start') throw new Error(`found ${JSON.stringify(value)}`);
    }
  };
  return { row, take: (taken: TakenToken) => take(taken), leave: () => left.abort() };
}

const logitsAfter = (ids: readonly number[], source: 'safety' | 'helpfulness' = 'safety') =>
  Float32Array.from(babble(source, [...PROMPT, ...ids]));

test.each(['safety', 'helpfulness'] as const)(
  'the %s expert tells its row after exactly what was drawn',
  async (expert) => {
    const { row, take } = await rows({ expert });
    const ids: number[] = [];
    for (const id of [100, 7, 255, 98]) {
      expect(await row()).toMatchObject({ position: ids.length, draft: null, logits: logitsAfter(ids, expert) });
      take({ at: ids.length, id, epoch: 0 });
      ids.push(id);
    }
    expect(engine.stats().rows).toBe(1);
  },
);

test('it waits without work until it is told, and leaves with its reader', async () => {
  const { row, leave } = await rows({});
  await row();
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(engine.stats()).toMatchObject({ running: 1, rows: 1 });
  leave();
  await until(() => engine.stats().rows === 0);
});

test('it goes on from tokens that were drawn before', async () => {
  const resume = { ids: [100, 101], spent: 0, weights: { count: 0, min: 1, mean: 1, max: 1 }, ran: {} };
  const { row } = await rows({}, { resume });
  expect(await row()).toMatchObject({ position: 2, logits: logitsAfter([100, 101]) });
});

test('a row of the likeliest tokens says how much it leaves out', async () => {
  const { row } = await rows({ topK: 5 });
  const told = await row();
  if ('logits' in told) throw new Error('it is whole');
  expect(told.ids).toHaveLength(5);
  const mass = told.logprobs.reduce((sum, lp) => sum + Math.exp(lp), 0);
  expect(told.left).toBeCloseTo(1 - mass, 12);
  expect(told.left).toBeGreaterThan(0);
});

test('it runs ahead along its own draws, as far as it may', async () => {
  const { row, take } = await rows({ ahead: 3 });
  const ids: number[] = [];
  for (let i = 0; i < 3; i++) {
    const told = await row();
    expect(told).toMatchObject({ position: i, logits: logitsAfter(ids) });
    ids.push(told.draft!);
  }
  expect(await row()).toMatchObject({ position: 3, draft: null });
  // The first guesses were right, so it may go on when it is told what comes after the last row.
  for (const [at, id] of ids.entries()) take({ at, id, epoch: 0 });
  take({ at: 3, id: 99, epoch: 1 });
  expect(await row()).toMatchObject({ position: 4, epoch: 1, logits: logitsAfter([...ids, 99]) });
});

test('a wrong guess is taken back, and what follows is about the text that was drawn', async () => {
  const { row, take } = await rows({ ahead: 4 });
  const first = await row();
  const other = first.draft === 97 ? 98 : 97;
  take({ at: 0, id: other, epoch: 1 });
  for (;;) {
    const told = await row();
    if (told.epoch === 0) continue;
    expect(told).toMatchObject({ position: 1, epoch: 1, logits: logitsAfter([other]) });
    break;
  }
});

test('nothing was drawn after a guess whose own row is still to come', () => {
  const teller = new RowTeller(
    {
      promptIds: PROMPT,
      maxTokens: 12,
      stop: [],
      sampling: { key: seedKey(1), temperature: 1, topP: 1 },
      line: { ...OPEN_LINE, mode: 'edge' },
      rows: { expert: 'safety', topK: null, ahead: 1 },
    },
    { vocabulary: { eos: [0], banned: [], bytesOf: (id) => Uint8Array.of(id) }, halfOf: undefined, said: [] },
  );
  const ids: number[] = [];
  const tell = () => teller.tell(ids, { row: { logits: logitsAfter(ids) }, hidden: null, alpha: null }, { most: 12 });
  expect(() => teller.take(ids, { at: 0, id: 99, epoch: 0 })).toThrow('A token was drawn at 0');
  tell();
  expect(ids).toHaveLength(1);
  // The sequence has not read the guess, so a token after it would leave a gap in what it reads.
  expect(() => teller.take(ids, { at: 1, id: 99, epoch: 0 })).toThrow('the next row is that of 1');
  tell();
  expect(teller.take(ids, { at: 1, id: 99, epoch: 0 })).toBe(false);
  // One that was taken back has no row any more, either.
  expect(teller.take(ids, { at: 0, id: 98, epoch: 1 })).toBe(true);
  expect(() => teller.take(ids, { at: 1, id: 99, epoch: 1 })).toThrow('the next row is that of 1');
  expect(ids).toEqual([98]);
});

test('a request for rows needs the mode, and the mode needs rows', async () => {
  engine = await startScriptedEngine({});
  const ask = (request: Partial<EngineRequest>) =>
    engine
      .generate({
        promptIds: PROMPT,
        maxTokens: 4,
        stop: [],
        sampling: { key: seedKey(1), temperature: 1, topP: 1 },
        line: OPEN_LINE,
        ...request,
      })
      .next();
  const wish = { expert: 'safety', topK: null, ahead: 0 } as const;
  await expect(ask({ line: { ...OPEN_LINE, mode: 'edge' } })).rejects.toMatchObject({ param: 'plimsoll.mode' });
  await expect(ask({ rows: wish })).rejects.toMatchObject({ param: 'plimsoll.mode' });
});
