/** Answers under grammars beside each other: in one batch, several of one request, with drafts. */
import { describe, expect, test } from 'vitest';
import { seedKey } from '#shared/gate/index.ts';
import type { Grammar } from '#shared/grammar/grammar.ts';
import { DraftPlanner } from './draft-planner.ts';
import type { EngineEvent, EngineRequest } from './engine.ts';
import type { Step } from './experts.ts';
import { type Script, ScriptedExperts } from './scripted-experts.ts';
import { request } from './testing/engine-contract.ts';
import { schedule } from './testing/schedule.ts';
import { babble, SCRIPTED_VOCAB } from './testing/scripted-engine.ts';

const options = {
  vocabulary: { eos: [0], banned: [], bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(id)) },
  proposal: 0.5,
  contextLength: 200,
};

/** Says what its prompt says, mostly, so that drafts are right and wrong. */
const repeats: Script = (source, ids) => {
  const logits = Float32Array.from(babble(source, ids));
  for (const closing of '"]},') logits[closing.charCodeAt(0)]! += 5;
  if (ids.length % 7 !== 0) logits[ids[ids.length - 9] ?? 97]! += 12;
  return logits;
};

const PROMPT = [...new TextEncoder().encode('["abcabc", "abcabc", "abc')];
const schema = (value: unknown): Grammar => ({ type: 'json_schema', schema: JSON.stringify(value) });
const GRAMMARS: readonly (Grammar | undefined)[] = [
  schema({ type: 'array', items: { type: 'string' }, minItems: 3 }),
  schema({ type: 'object', properties: { a: { type: 'string', maxLength: 12 }, b: { enum: ['abcabc', 'abc'] } } }),
  undefined,
  schema({ type: 'array', items: { enum: ['abcabc', 'abd'] }, minItems: 2, maxItems: 6 }),
  { type: 'text', without: ['abca'] },
  schema({ type: 'array', items: { type: 'string' }, minItems: 3 }),
];

const askedFor = (grammar: Grammar | undefined, i: number): EngineRequest =>
  request({
    promptIds: PROMPT.slice(i),
    maxTokens: 60,
    sampling: { seed: i, temperature: i % 3 === 0 ? 0 : 0.8, ...(grammar && { grammar }) },
    line: { floor: 0.1 * i, budget: i === 1 ? 3 : null },
  });
const ASKED = GRAMMARS.map(askedFor);

const isDraft = ({ want }: Step) => (want?.positions ?? 1) > 1;

/** Answers these together, and tells how many runs had drafts. */
async function answers(asked: readonly EngineRequest[], { drafts }: { drafts?: DraftPlanner } = {}) {
  let drafted = 0;
  const experts = new ScriptedExperts(repeats, {
    vocabSize: SCRIPTED_VOCAB,
    onRun: (run) => {
      if (run.some(isDraft)) drafted++;
    },
  });
  const { scheduler, of, run } = schedule(experts, { ...options, ...(drafts && { drafts }) });
  for (const [id, one] of asked.entries()) scheduler.submit(id, one);
  await run();
  expect(experts.openCount).toBe(0);
  return { drafted, events: asked.map((_, id) => of(id).events) };
}

const aloneAnswers = async () =>
  (await Promise.all(ASKED.map((one) => answers([one])))).map(({ events }) => events[0]!);

/** Without the count of guesses. */
const answerIn = (events: readonly EngineEvent[]) =>
  events.map((event) => {
    if (event.type !== 'end') return event;
    const { completion_tokens_details: _, ...usage } = event.usage;
    return { ...event, usage };
  });
const endOf = (events: readonly EngineEvent[]) => events.find((event) => event.type === 'end')!;

test('answers under different grammars in one batch are those that each gets alone', async () => {
  const together = await answers(ASKED);
  expect(together.events).toEqual(await aloneAnswers());
});

test('drafts change no token of an answer under a grammar, and some are right', async () => {
  const alone = await aloneAnswers();
  const { drafted, events } = await answers(ASKED, { drafts: new DraftPlanner({ costRatio: () => 1 }) });
  expect(drafted).toBeGreaterThan(0);
  let [right, wrong] = [0, 0];
  for (const [id, own] of events.entries()) {
    expect(answerIn(own)).toEqual(alone[id]);
    if (GRAMMARS[id] === undefined) continue;
    const details = endOf(own).usage.completion_tokens_details;
    right += details?.accepted_prediction_tokens ?? 0;
    wrong += details?.rejected_prediction_tokens ?? 0;
  }
  expect(right).toBeGreaterThan(20);
  expect(wrong).toBeGreaterThan(0);
});

describe('several answers of one request', () => {
  test.each([false, true])('are each the one that its key draws alone (drafts: %s)', async (withDrafts) => {
    const drafts = withDrafts ? { drafts: new DraftPlanner({ costRatio: () => 1 }) } : {};
    const keys = [0, 1, 2, 3].map((choice) => seedKey(50 + choice));
    const one = askedFor(GRAMMARS[0], 2);
    const of = (key: (typeof keys)[number]) => ({ ...one, sampling: { ...one.sampling, temperature: 1, key } });
    const together = await answers([{ ...of(keys[0]!), moreKeys: keys.slice(1) }], drafts);
    const texts = new Set<string>();
    for (const [choice, key] of keys.entries()) {
      const own = together.events[0]!.filter((event) => event.type === 'token').filter(
        (event) => (event.choice ?? 0) === choice,
      );
      const { events } = await answers([of(key)]);
      const alone = events[0]!.filter((event) => event.type === 'token');
      expect(own.map(({ choice: _, ...event }) => event)).toEqual(alone);
      texts.add(alone.map(({ text }) => text).join(''));
    }
    expect(texts.size).toBe(4);
  });
});
