import { expect, test } from 'vitest';
import type { Line } from '#shared/line/line.ts';
import { Answer, type AnswerOptions } from './answer.ts';
import type { AnswerState } from './answer-state.ts';
import { checkRequest, termsOf } from './check-request.ts';
import { DEFAULT_LIMITS, type EngineEvent } from './engine.ts';
import { type Script, ScriptedExperts } from './scripted-experts.ts';
import { driveAnswer } from './testing/drive-answer.ts';
import { request } from './testing/engine-contract.ts';
import { babble, SCRIPTED_VOCAB } from './testing/scripted-engine.ts';

/** Any byte may come, so characters are cut and broken all the time. The end is rare. */
const noise: Script = (source, ids, bounds) =>
  Array.from(babble(source, ids, bounds), (x, id) => (id === 0 ? -4 : x % 2));

const options: AnswerOptions = {
  vocabulary: { eos: [0], banned: [], bytesOf: (id) => (id === 0 ? undefined : Uint8Array.of(id)) },
  proposal: ([length]: Float32Array, [other]: Float32Array) => ((length! * other!) % 10) / 10,
  contextLength: 96,
};
const experts = (topK: number | null) =>
  new ScriptedExperts(noise, {
    vocabSize: SCRIPTED_VOCAB,
    topK,
    hidden: (_, ids) => [ids.length],
  });

const textOf = (events: readonly EngineEvent[]) =>
  events.map((event) => (event.type === 'token' ? event.text : '')).join('');
const asJson = (state: AnswerState): AnswerState => JSON.parse(JSON.stringify(state));

const opening = { tokens: 6, floor: 0.8 };
const lines: [string, Partial<Line>, number | null][] = [
  ['logits', { floor: 0.2, budget: 4, opening }, null],
  ['logits, truncated rows', { floor: 0.2, budget: 4, opening }, 40],
  ['logits, an earned budget', { earned: { start: 0.5, rate: 0.1 }, budget: 3 }, null],
  ['layers', { mode: 'layers', floor: 0.1, opening, budget: 6 }, null],
  ['safety_only', { action: 'safety_only' }, null],
];

test.each(lines)(
  'an answer cut at any token, sent as JSON and resumed elsewhere, has the same tokens, account and text: %s',
  async (_, line, topK) => {
    for (const seed of [1, 2]) {
      const asked = request({
        line,
        sampling: { seed },
        stop: ['ab', 'xyz', '\uFFFD\uFFFD\uFFFD\uFFFD'],
        maxTokens: 24,
      });
      asked.rowPrompts = { safety: [33, 34, ...asked.promptIds] };
      const whole = await driveAnswer(experts(topK), { request: asked, options });
      const length = whole.events.filter(({ type }) => type === 'token').length;
      expect(length).toBeGreaterThan(5);
      for (let cut = 0; cut <= length; cut++) {
        const first = await driveAnswer(experts(topK), { request: asked, options, atMost: cut });
        const resumed = { ...asked, resume: asJson(first.state) };
        const rest = await driveAnswer(experts(topK), { request: resumed, options });
        const drawn = first.events.filter(({ type }) => type === 'token');
        expect([...drawn, ...rest.events]).toEqual(whole.events);
        expect(rest.state).toEqual(whole.state);
        expect(new Answer(resumed, options).textBefore).toBe(textOf(drawn));
      }
    }
  },
);

test('a resumed layers sequence reads each token under the bounds of its first reading', async () => {
  const asked = request({ line: { mode: 'layers', floor: 0.1, ceiling: 0.9, opening }, maxTokens: 12 });
  const feedsOf = (answer: Answer) =>
    answer.history().flatMap(({ rows, bounds }) => rows.layers!.map((id) => [id, bounds.floor, bounds.ceiling]));
  const driver = experts(null);
  const prompt = asked.promptIds.map((id) => [id, 0.8, 0.9]);
  let resume: AnswerState | undefined;
  for (let position = 0; position < 12; position++) {
    const answer = new Answer(resume ? { ...asked, resume } : asked, options);
    const drawn = (resume?.ids ?? []).map((id, i) => [id, i < 5 ? 0.8 : 0.1, 0.9]);
    expect(feedsOf(answer)).toEqual([...prompt, ...drawn]);
    const next = await driveAnswer(driver, { request: resume ? { ...asked, resume } : asked, options, atMost: 1 });
    resume = asJson(next.state);
  }
});

test('does not resume an answer that has too many tokens, goes on after its end, or has an account without sense', async () => {
  const asked = request({ maxTokens: 5 });
  const { state } = await driveAnswer(experts(null), { request: asked, options, atMost: 3 });
  const resumed = (change: Partial<AnswerState>, maxTokens: number | null = 5) =>
    new Answer({ ...asked, maxTokens, resume: { ...state, ...change } }, options);
  const terms = termsOf(experts(null), { ...options, limits: DEFAULT_LIMITS });
  const checked = (ids: readonly number[], maxTokens: number | null) =>
    checkRequest({ ...asked, maxTokens, resume: { ...state, ids } }, terms);
  expect(() => checked(state.ids, 2)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  expect(() => checked(Array(93).fill(70), null)).toThrow(/has 93 tokens already and may have 92/);
  expect(() => checked([70, SCRIPTED_VOCAB], 5)).toThrow(/has the token id 256/);
  expect(() => resumed({ ids: [70, 0, 70] })).toThrow(/goes on after its end/);
  expect(resumed({ ids: [70, 71, 0] }).isOver).toBe(true);
  expect(() => checked(state.ids, 4)).not.toThrow();
  expect(() => resumed({ spent: Number.NaN })).toThrow(expect.objectContaining({ code: 'state_invalid' }));
  expect(resumed({}).ended).toBe(false);
});
