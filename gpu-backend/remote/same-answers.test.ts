/**
 * The law of several positions: whatever number of positions a question asks for, whichever expert
 * guesses, and whatever is accepted, an answer is the one that single positions give, event by
 * event.
 */
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seedKey } from '#shared/gate/index.ts';
import * as random from '#shared/gate/testing/arbitraries.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import type { EngineRequest } from '../engine/engine.ts';
import { ExpertDrafts } from '../engine/expert-drafts.ts';
import { type Script, ScriptedExperts } from '../engine/scripted-experts.ts';
import { request as asking } from '../engine/testing/engine-contract.ts';
import { schedule } from '../engine/testing/schedule.ts';
import { RemoteEngine } from './ask-engine.ts';
import { LLAMA_CPP } from './llama-cpp.ts';
import { RemoteExperts } from './remote-experts.ts';
import { SGLANG } from './sglang.ts';
import { type EngineServer, PROTOCOLS, serveEngine } from './testing/engine-servers.ts';
import { VLLM } from './vllm.ts';

const VOCAB = 24;
const TOP_K = 6;
const vocabulary = {
  eos: [0],
  banned: [],
  bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(96 + id)),
};

/** Experts that agree on the likeliest token at two positions of three. */
const script: Script = (source, ids) =>
  Array.from({ length: VOCAB }, (_, id) => {
    const common = 3 * Math.sin(7 * id + 13 * (ids.at(-1) ?? 0) + 5 * (ids.at(-2) ?? 0));
    const own = ids.length % 3 === 0 ? 3 * Math.cos(11 * id + 3 * (ids.at(-1) ?? 0)) : 0;
    return id === 0 ? -2 : common + (source === 'safety' ? own : -own);
  });

const DIALECTS = { vllm: VLLM, sglang: SGLANG, llamacpp: LLAMA_CPP } as const;
type Name = keyof typeof DIALECTS;

const behind = new ScriptedExperts(script, { vocabSize: VOCAB });
const servers = new Map<Name, Record<'safety' | 'helpfulness', EngineServer>>();
beforeAll(async () => {
  for (const name of ['vllm', 'sglang'] as const) {
    const server = await serveEngine(behind, PROTOCOLS[name]());
    servers.set(name, { safety: server, helpfulness: server });
  }
  const [safety, helpfulness] = [
    await serveEngine(behind, PROTOCOLS.llamacpp('safety')),
    await serveEngine(behind, PROTOCOLS.llamacpp('helpfulness')),
  ];
  servers.set('llamacpp', { safety, helpfulness });
});
afterAll(() => Promise.all([...servers.values()].flatMap((own) => Object.values(own).map(({ close }) => close()))));

/** The most prompts that a question to vLLM held. */
const mostPrompts = (asked: readonly unknown[]) =>
  Math.max(
    ...asked.map((body) => {
      // What our dialect sends is an object.
      const { prompt } = body as { prompt: unknown[] };
      return Array.isArray(prompt[0]) ? prompt.length : 1;
    }),
  );

/** The events of each request, and how many questions they took. */
async function answers(name: Name, positions: number, requests: readonly EngineRequest[], now = () => 0) {
  const own = servers.get(name)!;
  const engineOf = (role: 'safety' | 'helpfulness') =>
    new RemoteEngine({
      ...{ dialect: DIALECTS[name], urls: [own[role].url], model: name === 'llamacpp' ? null : role },
      ...{ topK: TOP_K, vocabSize: VOCAB, timeoutMs: 600_000, apiKey: null },
    });
  const experts = new RemoteExperts(
    { safety: engineOf('safety'), helpfulness: engineOf('helpfulness') },
    { vocabSize: VOCAB, topK: TOP_K, positions },
  );
  const before = own.safety.asked.length + own.helpfulness.asked.length;
  const { scheduler, of, run, warnings } = schedule(experts, {
    ...{ vocabulary, proposal: 0.5, contextLength: 96, now },
    expertDrafts: new ExpertDrafts(positions - 1, { costRatio: () => 1 }),
  });
  for (const [id, request] of requests.entries()) scheduler.submit(id, request);
  await run();
  await experts.dispose();
  const events = requests.map((_, id) => {
    const { events, error } = of(id);
    return { events, error };
  });
  return { events, warnings, asked: own.safety.asked.length + own.helpfulness.asked.length - before };
}

const request: fc.Arbitrary<EngineRequest> = fc
  .record({
    promptIds: fc.array(fc.integer({ min: 1, max: VOCAB - 1 }), { minLength: 1, maxLength: 8 }),
    own: fc.option(fc.array(fc.integer({ min: 1, max: VOCAB - 1 }), { minLength: 1, maxLength: 8 }), {
      nil: undefined,
    }),
    maxTokens: fc.integer({ min: 1, max: 20 }),
    shape: random.sampling,
    seed: fc.nat(),
    greedy: fc.boolean(),
    policy: random.policy,
    bias: fc.constantFrom(undefined, new Map([[3, -1.7]])),
    action: fc.constantFrom('mix' as const, 'mix' as const, 'safety_only' as const),
  })
  .map(({ promptIds, own, maxTokens, shape, seed, greedy, policy, bias, action }) => ({
    ...{ promptIds, maxTokens, stop: [], ...(own && { rowPrompts: { safety: own } }) },
    sampling: { ...shape, key: seedKey(seed), ...(greedy && { temperature: 0 }), ...(bias && { logitBias: bias }) },
    line: { ...OPEN_LINE, ...policy, ceiling: Math.max(policy.floor, policy.ceiling), action },
  }));

test.each(['vllm', 'sglang', 'llamacpp'] as const)('on %s', async (name) => {
  let [single, several] = [0, 0];
  await fc.assert(
    fc.asyncProperty(
      fc.array(request, { minLength: 1, maxLength: 3 }),
      fc.integer({ min: 2, max: 8 }),
      async (requests, positions) => {
        const one = await answers(name, 1, requests);
        const more = await answers(name, positions, requests);
        expect(more.events).toEqual(one.events);
        expect([...one.warnings, ...more.warnings]).toEqual([]);
        single += one.asked;
        several += more.asked;
      },
    ),
    { numRuns: 40, endOnFailure: true },
  );
  // Otherwise the law would say nothing. (llama.cpp tells fewer rows beside the tokens of a draft.)
  expect(several).toBeLessThan(0.9 * single);
});

test.each([2, 3, 5])(
  'no question asks for more than %i positions, also where the text repeats itself',
  async (positions) => {
    // The prompt holds what the experts said after its beginning, so they say it again.
    const begin = [1, 2, 3];
    const greedy = { maxTokens: 30, sampling: { seed: 3, temperature: 0 } };
    const { events } = await answers('vllm', 1, [asking({ promptIds: begin, ...greedy })]);
    const said = events[0]!.events.flatMap((event) => (event.type === 'token' ? [event.id] : []));
    const { asked } = servers.get('vllm')!.safety;
    const before = asked.length;
    const repeating = asking({ promptIds: [...begin, ...said, ...begin], ...greedy });
    // Every run takes as long as any other, so that long drafts pay.
    let ms = 0;
    await answers('vllm', positions, [repeating], () => ++ms);
    expect(mostPrompts(asked.slice(before))).toBe(positions);
  },
);
