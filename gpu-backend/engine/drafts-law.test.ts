/**
 * The law of drafts: an answer with drafts is the answer without them, event by event, whatever the
 * drafts, the experts, the sampling and the line; also where the answer ends, an expert fails or a
 * row is no distribution inside a draft.
 */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import * as random from '#shared/gate/testing/arbitraries.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import type { AnswerOptions } from './answer.ts';
import type { EngineRequest } from './engine.ts';
import type { Source } from './experts.ts';
import { type Script, ScriptedExperts } from './scripted-experts.ts';
import { driveAnswer } from './testing/drive-answer.ts';

/** Token 0 ends an answer, the others are the letters a to g. */
const VOCAB = 8;
const EOS = 0;
const CONTEXT = 40;
const vocabulary = {
  eos: [EOS],
  banned: [],
  bytesOf: (id: number) => (id === EOS ? undefined : Uint8Array.of(96 + id)),
};

/** Where and how an expert is of no use: from this length of its row on, or only at it. */
type Fault = { source: Source; length: number; how: 'throws' | 'gives NaN'; once: boolean };
type Experts = { seed: number; sharpness: number; faults: readonly Fault[]; topK: number | null };

const hash = (text: string) => [...text].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 99991, 7);

function scripted({ seed, sharpness, faults, topK }: Experts): ScriptedExperts {
  const script: Script = (source, ids) => {
    for (const fault of faults) {
      const strikes = fault.once ? ids.length === fault.length : ids.length >= fault.length;
      if (fault.source !== source || !strikes) continue;
      if (fault.how === 'gives NaN') return Array<number>(VOCAB).fill(Number.NaN);
      throw new Error('connection lost');
    }
    return Array.from({ length: VOCAB }, (_, id) => {
      const noise = sharpness * Math.sin(hash(`${seed} ${source} ${ids.slice(-4)} ${id}`));
      return id === EOS ? noise - 1 : noise;
    });
  };
  const hidden = (source: Source, ids: readonly number[]) => [Math.sin(hash(`${seed} ${source} ${ids}`))];
  return new ScriptedExperts(script, { vocabSize: VOCAB, topK, hidden });
}

/** Reads ahead up to `length` tokens of the answer to come, the one at `wrong` replaced. */
type Draft = { length: number; wrong: number };

const draft: fc.Arbitrary<Draft> = fc.record({
  length: fc.integer({ min: 0, max: 6 }),
  wrong: fc.oneof(fc.constant(Infinity), fc.nat(5)),
});

const fault: fc.Arbitrary<Fault> = fc.record({
  source: fc.constantFrom<Source>('safety', 'helpfulness'),
  length: fc.integer({ min: 5, max: 25 }),
  how: fc.constantFrom('throws', 'gives NaN'),
  once: fc.boolean(),
});

const experts: fc.Arbitrary<Experts> = fc.record({
  seed: fc.nat(10_000),
  sharpness: fc.constantFrom(0.5, 2, 6),
  faults: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(fault, { maxLength: 2 }) },
  ),
  topK: fc.constantFrom(null, null, 3),
});

const ids = (minLength: number) => fc.array(fc.integer({ min: 1, max: VOCAB - 1 }), { minLength, maxLength: 8 });

const request: fc.Arbitrary<EngineRequest> = fc
  .record({
    promptIds: ids(1),
    own: fc.option(ids(1), { nil: undefined }),
    maxTokens: fc.oneof(fc.constant(null), fc.integer({ min: 1, max: 20 })),
    stop: fc.array(fc.stringMatching(/^[a-g]{1,3}$/), { maxLength: 2 }),
    shape: random.sampling,
    greedy: fc.boolean(),
    policy: random.policy,
    action: fc.constantFrom('mix' as const, 'mix' as const, 'safety_only' as const),
    more: fc.record(
      {
        topK: fc.integer({ min: 1, max: VOCAB }),
        minP: fc.constantFrom(0.05, 0.3),
        presencePenalty: fc.constantFrom(-1.03, 0.71),
        frequencyPenalty: fc.constantFrom(-0.53, 0.47),
        repetitionPenalty: fc.constantFrom(0.83, 1.31),
        logitBias: fc.constantFrom(new Map([[3, -1.7]]), new Map([[0, 2.3]])),
        allowedIds: fc.constantFrom([0, 1, 2, 5], [2, 3, 4, 6]),
      },
      { requiredKeys: [] },
    ),
    rest: fc.record(
      { minTokens: fc.nat(6), ignoresEnd: fc.constant(true), topLogprobs: fc.nat(3) },
      { requiredKeys: [] },
    ),
  })
  .map(({ promptIds, own, maxTokens, stop, shape, greedy, policy, action, more, rest }) => ({
    ...rest,
    promptIds,
    ...(own && { rowPrompts: { safety: own } }),
    maxTokens,
    stop,
    sampling: { ...shape, ...more, ...(greedy && { temperature: 0 }) },
    line: { ...OPEN_LINE, ...policy, ceiling: Math.max(policy.floor, policy.ceiling), action },
  }));

const proposal = fc.constantFrom<AnswerOptions['proposal']>(0.5, (safety, helpful) => {
  const share = (safety[0]! + helpful[0]! + 2) / 4;
  return Number.isFinite(share) ? share : Number.NaN;
});

/** The events and state, or what was thrown after which events. */
async function answer(
  from: Experts,
  { request, options, guess }: { request: EngineRequest; options: AnswerOptions; guess?: (at: number) => number[] },
) {
  const source = scripted(from);
  const events: unknown[] = [];
  const draft =
    guess && (({ ids, left }: { ids: readonly number[]; left: number }) => guess(ids.length).slice(0, left - 1));
  try {
    const driven = await driveAnswer(source, {
      request,
      options,
      onEvents: (some) => events.push(...some),
      ...(draft && { draft }),
    });
    return { events, end: driven.state, open: source.openCount };
  } catch (thrown) {
    return { events, end: String(thrown), open: source.openCount };
  }
}

test('an answer with drafts is the answer without them, whatever the drafts are', async () => {
  let accepted = 0;
  const law = fc.asyncProperty(
    experts,
    request,
    proposal,
    fc.array(draft, { minLength: 1, maxLength: 12 }),
    async (from, request, proposal, drafts) => {
      const options = { vocabulary, proposal, contextLength: CONTEXT };
      const plain = await answer(from, { request, options });
      const text = plain.events.flatMap((event) => ('id' in (event as object) ? (event as { id: number }).id : []));
      let step = 0;
      const guess = (at: number) => {
        const { length, wrong } = drafts[step++ % drafts.length]!;
        return Array.from({ length }, (_, i) => {
          const right = text[at + i] ?? 1 + ((at + i) % (VOCAB - 1));
          return i === wrong ? (right + 1) % VOCAB : right;
        });
      };
      const drafted = await answer(from, { request, options, guess });
      expect(drafted).toEqual(plain);
      accepted += text.length - step;
    },
  );
  await fc.assert(law, { numRuns: 500 });
  // Otherwise the law would say nothing.
  expect(accepted).toBeGreaterThan(500);
});
