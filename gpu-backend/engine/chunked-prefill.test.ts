/** Prompts that are read in chunks beside running answers, on a machine with a clock of its own. */
import { describe, expect, test } from 'vitest';
import type { Step } from './experts.ts';
import { type Script, ScriptedExperts } from './scripted-experts.ts';
import { request } from './testing/engine-contract.ts';
import { schedule } from './testing/schedule.ts';
import { babble, SCRIPTED_VOCAB } from './testing/scripted-engine.ts';

const options = {
  vocabulary: { eos: [0], banned: [], bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(id)) },
  proposal: 0.5,
  contextLength: 4096,
};

/** Depends on the last tokens only, and never ends an answer. */
const recent: Script = (source, ids, bounds) =>
  Array.from(babble(source, ids.slice(-8), bounds), (x, id) => (id === 0 ? -30 : x));

/** Runs take this long: something by itself, and something for each token, padding included. */
function machine({ baseMs, msPerToken }: { baseMs: number; msPerToken: number }, script = recent) {
  let now = 0;
  const runs: (readonly Step[])[] = [];
  const experts = new ScriptedExperts(script, {
    vocabSize: SCRIPTED_VOCAB,
    onRun: (steps) => {
      runs.push(steps);
      now += baseMs + msPerToken * paddedTokens(steps);
    },
  });
  const scheduled = schedule(experts, { ...options, now: () => now });
  /** Runs rounds until `done`, and notes when each of these requests got each of its tokens. */
  const watch = async (ids: readonly number[], done: () => boolean) => {
    const at = new Map<number, number[]>(ids.map((id) => [id, []]));
    while (!done() && (await scheduled.scheduler.round())) {
      for (const [id, times] of at) while (times.length < scheduled.tokens(id).length) times.push(now);
    }
    return at;
  };
  return { ...scheduled, experts, runs, watch, now: () => now };
}

const paddedTokens = (steps: readonly Step[]) => steps.length * Math.max(...steps.map(({ ids }) => ids.length));
const isChunk = (steps: readonly Step[]) => steps[0]?.reads === 'prompt';
const gaps = (times: readonly number[]) => times.slice(1).map((time, i) => time - times[i]!);
const prompt = (length: number, first = 7) => Array.from({ length }, (_, i) => (i === 0 ? first : 60 + (i % 100)));

/** Like SmolLM2-135M on two cores, like a larger model there, and like a GPU. */
const MACHINES = [
  { baseMs: 28, msPerToken: 1.3 },
  { baseMs: 300, msPerToken: 8 },
  { baseMs: 10, msPerToken: 0.005 },
];

describe.each(MACHINES)('while a prompt of 2,000 tokens is read on $baseMs ms and $msPerToken ms a token', (speed) => {
  test.each([1, 4, 8])(
    'the tokens of %i running answers come at most 2.5 times their usual gap apart',
    async (streams) => {
      const { scheduler, tokens, watch } = machine(speed);
      const ids = Array.from({ length: streams }, (_, id) => id);
      for (const id of ids)
        scheduler.submit(id, request({ promptIds: prompt(40), maxTokens: 3000, sampling: { seed: id } }));
      const quiet = await watch(ids, () => tokens(0).length >= 12);
      const usual = gaps(quiet.get(0)!).at(-1)!;

      scheduler.submit(99, request({ promptIds: prompt(2000), maxTokens: 2, tenant: 'another' }));
      const before = tokens(0).length;
      const at = await watch(ids, () => tokens(99).length > 0);
      expect(tokens(0).length).toBeGreaterThan(before);
      for (const id of ids)
        expect(Math.max(...gaps(at.get(id)!.slice(-(tokens(0).length - before))))).toBeLessThan(2.5 * usual);
    },
  );
});

test('the prompt is read meanwhile: chunk and decode run take turns, and a chunk uses the time it has', async () => {
  const { scheduler, tokens, runs, watch, now } = machine({ baseMs: 28, msPerToken: 1.3 });
  for (let id = 0; id < 8; id++) scheduler.submit(id, request({ promptIds: prompt(10), maxTokens: 3000 }));
  await watch([0], () => tokens(0).length >= 12);
  const from = runs.length;
  const began = now();
  scheduler.submit(99, request({ promptIds: prompt(2000), maxTokens: 1, tenant: 'another' }));
  await watch([99], () => tokens(99).length > 0);
  const kinds = runs.slice(from).map(isChunk);
  expect(kinds).toEqual(kinds.map((_, i) => i % 2 === 0));
  // A decode run of 16 rows takes 48.8 ms, so a chunk may take 68 and has about 31 tokens. Reading
  // alone would take 2,000 x 2 x 1.3 ms and 28 for each of 8 runs: 5.4 s.
  const chunks = runs.slice(from).filter(isChunk);
  expect(paddedTokens(chunks.at(-2)!)).toBeGreaterThanOrEqual(28);
  expect((now() - began) / 1000).toBeLessThan(2.1 * ((4000 / 28) * 0.0684 + 0.5));
});

test('with nobody to wait for it, a prompt is read in the largest chunks', async () => {
  const { scheduler, runs, run } = machine({ baseMs: 28, msPerToken: 1.3 });
  scheduler.submit(1, request({ promptIds: prompt(1000), maxTokens: 2 }));
  await run();
  expect(runs.map((steps) => steps[0]!.ids.length)).toEqual([256, 256, 256, 232, 1]);
});

test('answers are the same whoever reads or answers beside them, in both modes and with prompts of their own', async () => {
  const asked = Array.from({ length: 9 }, (_, id) => {
    const promptIds = prompt(3 + 37 * id, 10 + id);
    return request({
      promptIds,
      tenant: `${id % 3}`,
      maxTokens: 12 + id,
      sampling: { seed: id },
      line: { mode: id % 2 === 0 ? 'logits' : 'layers', floor: 0.1, opening: { tokens: 4, floor: 0.6 } },
      ...(id % 3 === 0 && { rowPrompts: { safety: [1, 2, 3, 4, 5, ...promptIds] } }),
    });
  });
  // How often it tells of its reading depends on who is beside it.
  const answered = ({ events, ...rest }: ReturnType<typeof of>) => ({
    ...rest,
    events: events.filter(({ type }) => type !== 'reading'),
  });
  const { scheduler, of, run, experts } = machine({ baseMs: 5, msPerToken: 1 });
  for (const [id, one] of asked.entries()) {
    scheduler.submit(id, one);
    for (let round = 0; round < 3; round++) await scheduler.round();
  }
  await run();
  for (const [id, one] of asked.entries()) {
    const alone = machine({ baseMs: 5, msPerToken: 1 });
    alone.scheduler.submit(1, one);
    await alone.run();
    expect(answered(of(id))).toEqual(answered(alone.of(1)));
  }
  expect(experts.openCount).toBe(0);
});

test('a resumed answer is fed again as answer, its prompt as prompt, and a piece never mixes them', async () => {
  const { scheduler, runs, run } = machine({ baseMs: 28, msPerToken: 1.3 });
  const promptIds = prompt(300);
  const ids = Array.from({ length: 40 }, (_, i) => 97 + (i % 26));
  const resume = {
    ids,
    spent: 0,
    weights: { count: 40, min: 0.5, mean: 0.5, max: 0.5 },
    ran: { safety: 40, helpfulness: 40 },
  };
  scheduler.submit(1, request({ promptIds, maxTokens: 42, resume }));
  await run();
  const fed = runs.map((steps) => [steps[0]!.reads, steps[0]!.ids.length]);
  expect(fed).toEqual([
    ['prompt', 256],
    ['prompt', 44],
    ['answer', 40],
    ['answer', 1],
  ]);
  expect(runs.slice(0, 3).flatMap((steps) => steps[0]!.ids)).toEqual([...promptIds, ...ids]);
});

describe('a tenant with many long prompts', () => {
  const crowd = async (size: number) => {
    const watched = machine({ baseMs: 28, msPerToken: 1.3 });
    const { scheduler, tokens, watch, now } = watched;
    scheduler.submit(0, request({ promptIds: prompt(10), maxTokens: 3000, tenant: 'small' }));
    await watch([0], () => tokens(0).length >= 12);
    for (let id = 100; id < 100 + size; id++) {
      scheduler.submit(id, request({ promptIds: prompt(2000), maxTokens: 50, tenant: 'crowd' }));
    }
    await watch([0], () => tokens(0).length >= 20);
    const began = now();
    scheduler.submit(1, request({ promptIds: prompt(100), maxTokens: 5, tenant: 'small' }));
    const at = await watch([0, 1], () => tokens(1).length > 0);
    return { ...watched, firstTokenMs: at.get(1)![0]! - began };
  };

  test('does not slow the short prompt of another more than one long prompt does', async () => {
    const alone = await crowd(0);
    const beside = await crowd(1);
    const many = await crowd(12);
    expect(many.firstTokenMs).toBeLessThanOrEqual(beside.firstTokenMs);
    // Every second chunk is the other tenant's.
    expect(many.firstTokenMs).toBeLessThan(2.5 * alone.firstTokenMs);
  });

  test('does not take rows for prompts that wait to be read', async () => {
    const { scheduler } = await crowd(12);
    expect(scheduler.stats).toMatchObject({ running: 3, rows: 6 });
  });
});
