import { expect, test } from 'vitest';
import { DraftPlanner } from './draft-planner.ts';
import { ExpertDrafts } from './expert-drafts.ts';
import type { Step } from './experts.ts';
import { type Script, ScriptedExperts } from './scripted-experts.ts';
import { request } from './testing/engine-contract.ts';
import { schedule } from './testing/schedule.ts';

type Guessing = Parameters<ExpertDrafts['ask']>[0][number];

/** An answer whose expert guesses 1, 2, 3 and so on, and how many tokens it was asked for. */
function guessing({ left = 100, sources = ['safety', 'helpfulness'] }: Partial<Guessing['answer']> = {}) {
  const asked: number[] = [];
  const job: Guessing = {
    answer: { left, sources },
    guess: async (count) => {
      asked.push(count);
      return Array.from({ length: count }, (_, i) => i + 1);
    },
  };
  return { job, asked };
}

const free = { costRatio: () => 1 };
const right = (length: number) => ({ length, accepted: length });
const wrong = (length: number) => ({ length, accepted: 0 });

test('asks for as many tokens as are worth guessing, at most those that fit', async () => {
  const drafts = new ExpertDrafts(7, free);
  const [one, short, last, layers] = [
    guessing(),
    guessing({ left: 3 }),
    guessing({ left: 1 }),
    guessing({ sources: ['safety', 'layers'] }),
  ];
  for (let i = 0; i < 20; i++) drafts.learn(one.job.answer, right(7));
  const made = await drafts.ask([one, short, last, layers].map(({ job }) => job));
  expect(made).toEqual([[1, 2, 3, 4, 5, 6, 7], [1, 2], [], []]);
  expect(layers.asked).toEqual([]);
});

test('guesses fewer tokens where fewer were right, for each answer by itself', async () => {
  const drafts = new ExpertDrafts(7, free);
  const [good, bad] = [guessing(), guessing()];
  for (let i = 0; i < 20; i++) {
    drafts.learn(good.job.answer, right(4));
    drafts.learn(bad.job.answer, wrong(4));
  }
  const [long, short] = await drafts.ask([good.job, bad.job]);
  expect([long!.length, short!.length]).toEqual([7, 1]);
});

test('a new answer begins with what the ones before it have shown', async () => {
  const drafts = new ExpertDrafts(7, free);
  for (let i = 0; i < 20; i++) drafts.learn(guessing().job.answer, right(7));
  const [long] = await drafts.ask([guessing().job]);
  for (let i = 0; i < 20; i++) drafts.learn(guessing().job.answer, wrong(7));
  const [short] = await drafts.ask([guessing().job]);
  expect([long!.length, short!.length]).toEqual([7, 1]);
});

test('asks for none where a token more takes as long as a round, and tries again now and then', async () => {
  const drafts = new ExpertDrafts(7, { costRatio: (tokens, than) => tokens / than });
  const { job } = guessing();
  const lengths: number[] = [];
  for (let i = 0; i < 40; i++) lengths.push((await drafts.ask([job]))[0]!.length);
  expect(lengths.slice(0, 16)).toEqual(Array(16).fill(0));
  expect(lengths[16]).toBe(1);
  expect(lengths.slice(17, 33)).toEqual(Array(16).fill(0));
  expect(lengths[33]).toBe(1);
});

test('finds out by itself that a guess does not pay, where a second round trip costs more than it saves', async () => {
  const drafts = new ExpertDrafts(1);
  const { job } = guessing();
  let guesses = 0;
  for (let i = 0; i < 200; i++) {
    const length = (await drafts.ask([job]))[0]!.length;
    guesses += length;
    if (length > 0) drafts.learn(job.answer, right(1));
    // One way of 9 ms; or one of 17 ms on which two tokens are said, and then one of 9 ms.
    drafts.learnCost({ length, ms: length > 0 ? 26 : 9 });
  }
  expect(guesses).toBeGreaterThan(3);
  expect(guesses).toBeLessThan(30);
});

test('measures what a longer round costs', async () => {
  const drafts = new ExpertDrafts(7);
  const { job } = guessing();
  await drafts.ask([job]);
  for (let i = 0; i < 30; i++) drafts.learn(job.answer, right(7));
  // A way of 20 ms, and 1 ms a token: it pays.
  for (let i = 0; i < 30; i++) drafts.learnCost({ length: i % 8, ms: 20 + (i % 8) });
  expect((await drafts.ask([job]))[0]).toHaveLength(7);
  // No way, and 20 ms a token: it does not.
  for (let i = 0; i < 800; i++) drafts.learnCost({ length: i % 8, ms: 20 * (1 + (i % 8)) });
  expect((await drafts.ask([job]))[0]).toHaveLength(0);
});

const VOCAB = 8;
const script: Script = (source, ids) =>
  Array.from({ length: VOCAB }, (_, id) => (id === 1 + (ids.length % 5) ? 4 : 0) + (source === 'safety' ? id / 40 : 0));
const vocabulary = { eos: [0], banned: [], bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(96 + id)) };
const asked = request({ promptIds: [1, 2], maxTokens: 24, sampling: { seed: 3 } });

/** The tokens, and how many runs they took. */
async function serve({
  drafts = true,
  onRun = () => {},
  ...options
}: {
  drafts?: boolean;
  onDraft?: () => void;
  onRun?: (steps: readonly Step[]) => void;
  cancel?: boolean;
} = {}) {
  let runs = 0;
  const experts: ScriptedExperts = new ScriptedExperts(script, {
    ...{ vocabSize: VOCAB, topK: 4, draft: drafts ? 5 : 0 },
    onRun: (steps) => {
      runs++;
      onRun(steps);
    },
    onDraft: () => {
      options.onDraft?.();
      if (options.cancel) scheduled.scheduler.cancel(1);
    },
  });
  const scheduled = schedule(experts, {
    ...{ vocabulary, proposal: 0.5, contextLength: 96 },
    drafts: new DraftPlanner({
      newGuesser: () => ({ length: 2, push: () => {}, guess: () => ({ ids: [], seen: 0 }) }),
    }),
    expertDrafts: new ExpertDrafts(5, free),
  });
  scheduled.scheduler.submit(1, asked);
  await scheduled.run();
  return { ...scheduled, experts, tokens: scheduled.tokens(1), runs };
}

test('answers come in fewer runs, and are the same; what an expert guessed is not in their usage', async () => {
  const [plain, drafted] = [await serve({ drafts: false }), await serve()];
  expect(drafted.tokens).toEqual(plain.tokens);
  expect(drafted.runs).toBeLessThan(plain.runs / 2);
  expect(drafted.of(1).events.at(-1)).toEqual(plain.of(1).events.at(-1));
});

test('a guess that fails is none', async () => {
  let failed = 0;
  const { tokens } = await serve({
    onDraft: () => {
      failed++;
      throw new Error('connection lost');
    },
  });
  expect(tokens).toEqual((await serve({ drafts: false })).tokens);
  expect(failed).toBeGreaterThan(5);
});

test('a draft whose run fails is taken back, and the answer goes on without one', async () => {
  const { tokens, of, warnings } = await serve({
    onRun: (steps) => {
      if (steps.some(({ want }) => (want?.positions ?? 1) > 2)) throw new Error('too much at once');
    },
  });
  expect(tokens).toEqual((await serve({ drafts: false })).tokens);
  expect(of(1).error).toBeNull();
  expect(warnings.join()).toMatch(/takes back a draft/);
});

test('an answer that is cancelled while its expert guesses is gone, and nothing is fed for it', async () => {
  const { tokens, runs, experts, of } = await serve({ cancel: true });
  expect([tokens.length, runs, experts.openCount]).toEqual([1, 1, 0]);
  expect(of(1).error).toBeNull();
});
