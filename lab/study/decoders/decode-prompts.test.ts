import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Source } from '#gpu-backend/engine/experts.ts';
import { ScriptedExperts } from '#gpu-backend/engine/scripted-experts.ts';
import type { Vocabulary } from '#shared/answer/vocabulary.ts';
import { logSoftmax, seedKey, uniformAt } from '#shared/gate/index.ts';
import { decodePrompts } from './decode-prompts.ts';
import type { Decoder } from './decoder.ts';

const [SIZE, EOS, BANNED] = [12, 1, 2];
const vocabulary: Vocabulary = {
  eos: [EOS],
  banned: [BANNED],
  bytesOf: (id) => (id > BANNED ? new TextEncoder().encode(String.fromCharCode(94 + id)) : undefined),
};
/** What a source says depends on all of its tokens, so a mixed-up sequence shows. */
function script(source: Source, ids: readonly number[]): Float32Array {
  const at = ids.reduce((sum, id, i) => sum + (i + 1) * id, source === 'safety' ? 1 : 5);
  return Float32Array.from({ length: SIZE }, (_, id) => 3 * Math.sin(at * (id + 1)));
}
const said = (source: Source, ids: readonly number[]) => logSoftmax(script(source, ids))!;
const experts = (options = {}) => new ScriptedExperts(script, { vocabSize: SIZE, ...options });

/** Takes the helpfulness expert's distribution, without the banned token. */
const HELPFULNESS: Decoder = {
  readsPrompt: false,
  start: () => ({
    next: ({ helpfulness }) => {
      const masses = Array.from(helpfulness, (lp, id) => (id === BANNED ? 0 : Math.exp(lp)));
      const total = masses.reduce((sum, mass) => sum + mass, 0);
      return { logprobs: Float64Array.from(masses, (mass) => Math.log(mass / total)), weight: 0, spent: null };
    },
  }),
};
const PROMPTS = [[3, 4], [5], [6, 7, 8], [9, 3], [4, 4, 4]];
const options = { vocabulary, contextLength: 64, label: 'test', decoder: HELPFULNESS };
const sampling = { temperature: 1, topP: 1, seed: 5, maxTokens: 9 };

beforeAll(() => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
});
afterAll(() => {
  vi.restoreAllMocks();
});

/** The slow one: a prompt at a time, the whole text each time. */
function slow(prompt: readonly number[], key: ReturnType<typeof seedKey>): number[] {
  const ids: number[] = [];
  while (ids.length < 9 && ids.at(-1) !== EOS) {
    const lp = said('helpfulness', [...prompt, ...ids]);
    const masses = Array.from(lp, (value, id) => (id === BANNED ? 0 : Math.exp(value)));
    const total = masses.reduce((sum, mass) => sum + mass, 0);
    const u = uniformAt(key, ids.length) * total;
    const upTo = (last: number) => masses.slice(0, last + 1).reduce((sum, mass) => sum + mass, 0);
    ids.push(masses.findIndex((_, id) => upTo(id) > u));
  }
  return ids;
}

test.each([1, 2, 16])('answers as one prompt at a time does, with %i answers growing together', async (batch) => {
  const own = experts();
  const answers = await decodePrompts(PROMPTS, { ...options, experts: own, sampling, batch });
  PROMPTS.forEach((prompt, i) => {
    const ids = slow(prompt, seedKey(sampling.seed + i));
    const answer = answers[i]!;
    const shown = ids.filter((id) => id !== EOS);
    expect(answer.text).toBe(shown.map((id) => String.fromCharCode(94 + id)).join(''));
    expect(answer.finishReason).toBe(ids.at(-1) === EOS ? 'stop' : 'length');
    expect(answer.tokens.map(({ lp_s }) => lp_s)).toEqual(
      ids.map((id, t) => expect.closeTo(said('safety', [...prompt, ...ids.slice(0, t)])[id]!, 5)),
    );
  });
  expect(own.openCount).toBe(0);
});

test('takes the likeliest token at temperature 0, and stops at the end of the context', async () => {
  const own = experts();
  const cold = { ...sampling, temperature: 0, maxTokens: 40 };
  const [answer] = await decodePrompts([[3, 4]], { ...options, experts: own, sampling: cold, contextLength: 6 });
  expect(answer!.tokens.length).toBeLessThanOrEqual(4);
  const lp = said('helpfulness', [3, 4]);
  lp[BANNED] = -Infinity;
  expect(answer!.tokens[0]!.lp_h).toBeCloseTo(Math.max(...lp), 5);
});

test("tells a decoder the prompt's log-ratios, of its text alone", async () => {
  const seen: (readonly number[])[] = [];
  const reader: Decoder = {
    readsPrompt: true,
    start(given) {
      seen.push(given.promptLogRatios);
      return HELPFULNESS.start(given);
    },
  };
  const prompt = [3, EOS, 7, 8];
  await decodePrompts([prompt], { ...options, decoder: reader, experts: experts(), sampling });
  const wanted = [2, 3].map((i) => {
    const before = prompt.slice(0, i);
    return said('helpfulness', before)[prompt[i]!]! - said('safety', before)[prompt[i]!]!;
  });
  expect(seen).toEqual([wanted.map((ratio) => expect.closeTo(ratio, 5))]);
});

test('refuses experts that give only their likeliest tokens', async () => {
  const own = experts({ topK: 3 });
  await expect(decodePrompts(PROMPTS, { ...options, experts: own, sampling })).rejects.toThrow(/whole rows/);
});
