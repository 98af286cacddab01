/**
 * Answers that are looked at a second time, by a probe whose findings can be read off the prompt's
 * tokens.
 */
import { expect } from 'vitest';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { SignalRules } from '#shared/line/rules.ts';
import { type Probe, ProbeHead } from '../../model/probe.ts';
import type { DrawnToken, EngineEvent, EngineRequest } from '../engine.ts';
import { type Script, ScriptedExperts, type ScriptedOptions } from '../scripted-experts.ts';
import { driveAnswer } from './drive-answer.ts';
import { request } from './engine-contract.ts';
import { babble, SCRIPTED_VOCAB } from './scripted-engine.ts';

export const WINDOW = 4;

/**
 * A probe over states of one number. The numbers of a window make its features: their mean and the
 * last one. `violence` follows the mean, `hate` the last one, and the others are never found.
 */
export const probe: Probe = {
  version: '0123456789ab',
  head: ProbeHead.parse({
    format: 1,
    layers: [0],
    pooling: ['mean', 'last'],
    judgements: JUDGEMENTS,
    window: WINDOW,
    calibration: Object.fromEntries(JUDGEMENTS.map((judgement) => [judgement, { a: 1, b: 0 }])),
    licence: 'Apache-2.0',
    provenance: { description: 'By hand.', data: [] },
  }),
  weight: Float32Array.from(
    JUDGEMENTS.flatMap((name) => (name === 'violence' ? [1, 0] : name === 'hate' ? [0, 1] : [0, 0])),
  ),
  bias: Float32Array.from(JUDGEMENTS, (name) => (name === 'violence' || name === 'hate' ? 0 : -50)),
};
export const violence = JUDGEMENTS.indexOf('violence');
export const hate = JUDGEMENTS.indexOf('hate');

export const options = {
  vocabulary: { eos: [0], banned: [], bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(id)) },
  proposal: 0.1,
  probe,
  contextLength: 96,
};

/** A token's state is how far it is from 100: tokens above are violent, those below are not. */
const states = (_: unknown, ids: readonly number[]) => [ids.at(-1)! - 100];
export const experts = (changes: Partial<ScriptedOptions> = {}, script: Script = babble) =>
  new ScriptedExperts(script, { vocabSize: SCRIPTED_VOCAB, states, ...changes });

export const RULES = SignalRules.parse({
  violence: { floor: 0.8, budget: 3, ramp: { from: 0.2, full: 0.9 } },
  hate: { action: 'safety_only', ramp: { from: 0.5, full: 0.999 } },
});
export const calm = [7, 90, 80, 85, 90, 95, 70];
export const violent = [7, 90, 130, 130, 140, 130, 70];

type Changes = Parameters<typeof request>[0] & { rules?: SignalRules };
export function ask(promptIds: number[], { rules = RULES, ...changes }: Changes = {}): EngineRequest {
  const last = promptIds.length - 1;
  const secondLook = { base: 0, rules, messages: [{ from: 2, to: last, last }] };
  return request({ promptIds, maxTokens: 6, secondLook, ...changes });
}

export const endOf = (events: readonly EngineEvent[]) => {
  const end = events.at(-1);
  if (end?.type !== 'end') throw new Error('no end');
  return end;
};
export const tokensOf = (events: readonly EngineEvent[]): DrawnToken[] =>
  events.filter((event) => event.type === 'token');

export async function drive(asked: EngineRequest, { from = experts(), chunk = Infinity } = {}) {
  const { events, state } = await driveAnswer(from, { request: asked, options, chunk });
  expect(from.openCount).toBe(0);
  // What was found is in the end as well.
  const tokens = tokensOf(events).map(({ second_look: _, ...token }) => token);
  return { events, state, end: endOf(events), tokens };
}
