/** Drafts in a batch: answers come in fewer runs and are the same. */
import { describe, expect, test } from 'vitest';
import { DraftPlanner } from './draft-planner.ts';
import type { EngineEvent, EngineLimits } from './engine.ts';
import type { Step } from './experts.ts';
import { type Script, ScriptedExperts, type ScriptedOptions } from './scripted-experts.ts';
import { request } from './testing/engine-contract.ts';
import { schedule } from './testing/schedule.ts';
import { babble, SCRIPTED_VOCAB } from './testing/scripted-engine.ts';
import type { MaskOf } from './token-mask.ts';

const options = {
  vocabulary: { eos: [0], banned: [], bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(id)) },
  proposal: 0.5,
  contextLength: 96,
};

/** Repeats the last eight tokens, but not always. */
const repeats: Script = (source, ids) => {
  const logits = Float32Array.from(babble(source, ids));
  if (ids.length % 11 !== 0) logits[ids[ids.length - 8] ?? 97]! += 12;
  return logits;
};

const PROMPT = [7, 97, 98, 99, 100, 101, 102, 103, 104, 105];
const asked = [0, 1, 2, 3].map((seed) =>
  request({
    promptIds: PROMPT.slice(seed),
    maxTokens: 30 + seed,
    sampling: { seed },
    ...(seed === 1 && { rowPrompts: { safety: [8, 9, ...PROMPT] } }),
    line: { floor: 0.2 * seed, budget: seed === 3 ? 2 : null },
  }),
);

/** Every draft is tried, however long. */
const eager = () => new DraftPlanner({ costRatio: () => 1 });

type Serving = Partial<ScriptedOptions> & { drafts?: DraftPlanner; limits?: Partial<EngineLimits>; maskOf?: MaskOf };

function serve({ drafts, limits, maskOf, ...scripted }: Serving = {}) {
  const steps: Step[][] = [];
  const experts = new ScriptedExperts(repeats, {
    vocabSize: SCRIPTED_VOCAB,
    ...scripted,
    onRun: (run) => {
      steps.push([...run]);
      scripted.onRun?.(run);
    },
  });
  const scheduled = schedule(experts, {
    ...options,
    ...(drafts && { drafts }),
    ...(limits && { limits }),
    ...(maskOf && { maskOf }),
  });
  return { ...scheduled, experts, steps };
}

const isDraft = ({ want }: Step) => (want?.positions ?? 1) > 1;

/** What a client gets of its answer, without the count of guesses. */
const answerIn = (events: readonly EngineEvent[]) =>
  events.map((event) => {
    if (event.type !== 'end') return event;
    const { completion_tokens_details: _, ...usage } = event.usage;
    return { ...event, usage };
  });

async function plainAnswers() {
  const plain = serve();
  for (const [id, one] of asked.entries()) plain.scheduler.submit(id, one);
  await plain.run();
  return { ...plain, answers: asked.map((_, id) => plain.of(id).events) };
}

test('answers that repeat their prompt come in fewer runs, and are the same', async () => {
  const plain = await plainAnswers();
  const drafted = serve({ drafts: eager() });
  for (const [id, one] of asked.entries()) drafted.scheduler.submit(id, one);
  await drafted.run();
  let wrong = 0;
  for (const [id, wanted] of plain.answers.entries()) {
    expect(answerIn(drafted.of(id).events)).toEqual(wanted);
    const details = endOf(drafted.of(id).events).usage.completion_tokens_details!;
    expect(details.accepted_prediction_tokens).toBeGreaterThan(10);
    wrong += details.rejected_prediction_tokens;
  }
  expect(wrong).toBeGreaterThan(0);
  expect(drafted.steps.length).toBeLessThan(0.6 * plain.steps.length);
  expect(drafted.experts.openCount).toBe(0);
});

test('usage says nothing of guesses if there were none', async () => {
  const { answers } = await plainAnswers();
  for (const events of answers) expect(endOf(events).usage).not.toHaveProperty('completion_tokens_details');
});

test.each<[string, Serving]>([
  ['the limits say so', { drafts: eager(), limits: { speculation: false } }],
  ['a token read ahead takes as long as a step', { drafts: new DraftPlanner({ costRatio: (a, b) => a / b }) }],
])('there are no drafts if %s', async (_, serving) => {
  const { scheduler, run, steps } = serve(serving);
  scheduler.submit(0, asked[0]!);
  await run();
  expect(steps.flat().some(isDraft)).toBe(false);
});

test('there are no drafts in the mode layers', async () => {
  const { scheduler, run, steps, of } = serve({ drafts: eager() });
  scheduler.submit(0, request({ promptIds: PROMPT, line: { mode: 'layers' } }));
  await run();
  expect(steps.flat().some(isDraft)).toBe(false);
  expect(endOf(of(0).events).usage.completion_tokens).toBe(30);
});

test('an answer that is cancelled while its draft is read gives its sequences back, and the others go on', async () => {
  const { answers } = await plainAnswers();
  let cancel = () => {};
  const served = serve({ drafts: eager(), onRun: (run) => run.some(isDraft) && cancel() });
  cancel = () => served.scheduler.cancel(1);
  for (const [id, one] of asked.entries()) served.scheduler.submit(id, one);
  await served.run();
  expect(served.tokens(1).length).toBeLessThan(answers[1]!.length - 2);
  for (const id of [0, 2, 3]) expect(answerIn(served.of(id).events)).toEqual(answers[id]);
  expect(served.experts.openCount).toBe(0);
});

test('a fault in the middle of a draft ends the answer', async () => {
  let drawn = 0;
  let failures = 0;
  const allowed = () => {
    if (++drawn === 2 && ++failures === 1) throw new RangeError('the grammar is at a loss');
    return null;
  };
  const served = serve({
    drafts: eager(),
    onRun: () => {
      drawn = 0;
    },
    maskOf: () => ({ allowed, accept: () => {} }),
  });
  served.scheduler.submit(0, asked[0]!);
  await served.run();
  expect(failures).toBe(1);
  expect(served.of(0).error?.cause).toMatchObject({ message: 'the grammar is at a loss' });
  expect(served.experts.openCount).toBe(0);
});

describe('a run with drafts that fails', () => {
  test('says nothing about how long runs take', async () => {
    const learned: number[] = [];
    const drafts = new (class extends DraftPlanner {
      override learnCost(run: { tokens: number; ms: number }): void {
        learned.push(run.tokens);
      }
    })({ costRatio: () => 1 });
    const onRun = (run: readonly Step[]) => {
      if (run.some(isDraft)) throw new Error('out of memory');
    };
    const served = serve({ drafts, onRun });
    served.scheduler.submit(0, asked[0]!);
    await served.run();
    expect(served.warnings.length).toBeGreaterThan(0);
    expect(new Set(learned)).toEqual(new Set([2]));
  });

  test('is made again without them, and no answer changes', async () => {
    const { answers } = await plainAnswers();
    const onRun = (run: readonly Step[]) => {
      if (run.some(isDraft)) throw new Error('out of memory');
    };
    const served = serve({ drafts: eager(), onRun });
    for (const [id, one] of asked.entries()) served.scheduler.submit(id, one);
    await served.run();
    // Nobody has looked at these guesses, so they count for nothing.
    for (const [id, wanted] of answers.entries()) expect(served.of(id).events).toEqual(wanted);
    expect(served.warnings[0]).toMatch(/^answer \d takes back a draft of \d+ tokens: Error: out of memory$/);
    // Each failed draft is followed by a longer pause.
    expect(served.warnings.length).toBeLessThan(6 * asked.length);
  });

  test('and fails again without them, ends its own answer', async () => {
    const onRun = (run: readonly Step[]) => {
      if (run.some(isDraft)) throw new Error('out of memory');
      if (served.warnings.length > 0) throw new Error('still out of memory');
    };
    const served = serve({ drafts: eager(), onRun });
    served.scheduler.submit(0, asked[0]!);
    await served.run();
    expect(served.of(0).error).toMatchObject({ code: 'expert_failed', cause: { message: 'still out of memory' } });
    expect(served.tokens(0).length).toBeGreaterThan(0);
    expect(served.experts.openCount).toBe(0);
  });
});

function endOf(events: readonly EngineEvent[]) {
  const end = events.at(-1);
  if (end?.type !== 'end') throw new Error(`the last event is ${JSON.stringify(end)}`);
  return end;
}
