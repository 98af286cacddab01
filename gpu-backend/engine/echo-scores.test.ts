import { describe, expect, test } from 'vitest';
import * as oracle from '#shared/gate/testing/oracle.ts';
import { type Line, OPEN_LINE } from '#shared/line/line.ts';
import type { EngineEvent } from './engine.ts';
import { type Script, ScriptedExperts, type ScriptedOptions } from './scripted-experts.ts';
import { request } from './testing/engine-contract.ts';
import { schedule } from './testing/schedule.ts';
import { babble, SCRIPTED_VOCAB } from './testing/scripted-engine.ts';

const PROMPT = [7, 70, 71, 72, 97, 98, 99, 100, 101, 102, 103];
const hidden = (_: string, ids: readonly number[]) => [ids.length];
/** The proposal depends on both experts' hidden states at that very token. */
const router = ([length]: Float32Array, [other]: Float32Array) => ((length! * other!) % 10) / 10;
const options = {
  vocabulary: { eos: [0], banned: [], bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(id)) },
  proposal: router,
  contextLength: 96,
};
const scripted = (script: Script = babble, rest: Partial<ScriptedOptions> = {}) =>
  new ScriptedExperts(script, { vocabSize: SCRIPTED_VOCAB, hidden, ...rest });

async function echoing(changes: Parameters<typeof request>[0], { limits = {}, experts = scripted() } = {}) {
  const { scheduler, of, run } = schedule(experts, { ...options, limits });
  scheduler.submit(1, request({ promptIds: PROMPT, echo: true, topLogprobs: 3, maxTokens: 4, ...changes }));
  await run();
  expect(experts.openCount).toBe(0);
  return of(1);
}

const echoOf = (events: EngineEvent[]) => {
  const echo = events.find((event) => event.type === 'echo');
  if (!echo) throw new Error('there is an echo');
  return echo;
};

const LINES: Partial<Line>[] = [
  { floor: 0.2 },
  { floor: 0.2, rule: 'arithmetic', budget: 1, opening: { tokens: 5, floor: 0.9 } },
  { mode: 'layers', floor: 0.1, ceiling: 0.8 },
  { action: 'safety_only' },
];

describe('each token of an echo has its log-probabilities after the tokens before it', () => {
  const logits = (...of: Parameters<Script>) => oracle.softmax(Float32Array.from(babble(...of)));

  test.each(LINES)('%j', async (changes) => {
    const line = { ...OPEN_LINE, ...changes };
    const { tokens } = echoOf((await echoing({ line })).events);
    expect(tokens!.map(({ id }) => id)).toEqual(PROMPT);
    // Nothing comes before the first token.
    expect(tokens![0]).toEqual({ id: 7, bytes: [7], lp: null, lp_s: null, lp_h: null, top: [] });
    for (const [i, { id, bytes, lp, lp_s, lp_h, top }] of tokens!.entries()) {
      if (i === 0) continue;
      const before = PROMPT.slice(0, i);
      const safety = logits('safety', before);
      const helpful = logits('helpfulness', before);
      // The line's own floor counts: an opening and a budget are for answers.
      const w = Math.max(line.floor, Math.min(router(hiddenAt(i), hiddenAt(i)), line.ceiling));
      const mixture = {
        safety_only: () => safety,
        layers: () => logits('layers', before, { floor: line.floor, ceiling: line.ceiling }),
        logits: () => oracle.mix(safety, helpful, w, line.rule),
        edge: () => [],
      }[line.action === 'safety_only' ? 'safety_only' : line.mode]();
      expect(bytes).toEqual([id]);
      expect(lp).toBeCloseTo(Math.log(mixture[id]!), 5);
      expect(lp_s).toBeCloseTo(Math.log(safety[id]!), 5);
      if (line.action === 'mix' && line.mode === 'logits') expect(lp_h).toBeCloseTo(Math.log(helpful[id]!), 5);
      else expect(lp_h).toBeNull();
      const likeliest = mixture.map((p, token) => ({ p, token })).sort((a, b) => b.p - a.p || a.token - b.token);
      expect(top!.map((one) => one.id)).toEqual(likeliest.slice(0, 3).map(({ token }) => token));
    }
  });
});

const hiddenAt = (length: number) => Float32Array.of(length);

test('the answer and its account are the ones without an echo, and the echo comes before its first token', async () => {
  for (const line of LINES) {
    const { events } = await echoing({ line });
    const plain = await echoing({ line, echo: false });
    expect(events.filter(({ type }) => type !== 'echo')).toEqual(plain.events);
    expect(events.slice(0, 2).map(({ type }) => type)).toEqual(['start', 'echo']);
  }
});

test('a prompt that is read in pieces has the same scores, and several answers have one echo', async () => {
  const whole = await echoing({ line: { floor: 0.2 } });
  for (const maxPrefillTokens of [8, 12]) {
    const pieces = await echoing({ line: { floor: 0.2 } }, { limits: { maxPrefillTokens } });
    expect(pieces.events).toEqual(whole.events);
  }
  const several = await echoing({ line: { floor: 0.2 }, moreKeys: [[1, 2, 3, 4]] });
  expect(several.events.filter(({ type }) => type === 'echo')).toEqual([echoOf(whole.events)]);
});

test('without the other expert, the safety expert scores alone', async () => {
  const script: Script = (source, ids) => {
    if (source === 'helpfulness') throw new Error('connection lost');
    return babble(source, ids);
  };
  const { events } = await echoing({ line: { floor: 0.2 } }, { experts: scripted(script) });
  for (const { lp, lp_s, lp_h } of echoOf(events).tokens!) {
    expect(lp).toBe(lp_s);
    expect(lp_h).toBeNull();
  }
});

test.each<[string, Parameters<typeof request>[0], Partial<ScriptedOptions>]>([
  ['truncated rows', {}, { topK: 20 }],
  ['an expert with a prompt of its own', { rowPrompts: { safety: [1, ...PROMPT] } }, {}],
])('is refused before any work with %s', async (_, changes, rest) => {
  const { events, error } = await echoing(changes, { experts: scripted(babble, rest) });
  expect(events).toEqual([]);
  expect(error).toMatchObject({ code: 'unsupported_value', param: 'echo' });
});
