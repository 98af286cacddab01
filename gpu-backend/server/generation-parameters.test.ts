/** The parameters of a request, from its body to its frames and receipts. */
import { describe, expect, test } from 'vitest';
import type { Frame, GenerateBody } from '#shared/protocol/generate.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { babble } from '../engine/testing/scripted-engine.ts';
import { allFrames, call, generateRequest } from './testing/backend-client.ts';
import { endOf, errorOf, scriptedBackends, textOf } from './testing/scripted-backends.ts';

const { serve, jwks } = scriptedBackends();

const tokensOf = (frames: Frame[]) =>
  frames.filter((frame) => frame.type === 'token').map(({ mark: _, ...token }) => token);
const idsOf = (frames: Frame[]) => tokensOf(frames).map(({ id }) => id);
const choiceOf = (frame: Frame) => ('choice' in frame ? frame.choice : undefined) ?? 0;

async function asking(options: Parameters<typeof serve>[0] = {}) {
  const { url, engine } = await serve(options);
  return {
    engine,
    ask: async (changes: Partial<GenerateBody>, how: Parameters<typeof call>[2] = {}) =>
      allFrames(await call(url, generateRequest(changes), how)),
    refusal: async (changes: object) => errorOf(await call(url, { ...generateRequest(), ...changes })),
  };
}

describe('a parameter that shapes the tokens does so', () => {
  const LETTERS = Array.from({ length: 26 }, (_, i) => 97 + i);

  test('top_k, min_p, top_p: with one token left, the answer is greedy whatever the seed', async () => {
    const { ask } = await asking();
    const greedy = idsOf(await ask({ temperature: 0 }));
    for (const changes of [{ top_k: 1 }, { min_p: 1 }, { top_p: 1e-9 }]) {
      expect(idsOf(await ask({ ...changes, seed: 5 }))).toEqual(greedy);
    }
    expect(idsOf(await ask({ seed: 5 }))).not.toEqual(greedy);
  });

  test('logit_bias: what is pushed comes, what is banned does not', async () => {
    const { ask } = await asking();
    expect(new Set(idsOf(await ask({ logit_bias: { 200: 100 } })))).toEqual(new Set([200]));
    const banned = Object.fromEntries(LETTERS.map((id) => [id, -100]));
    expect(idsOf(await ask({ logit_bias: banned })).some((id) => LETTERS.includes(id))).toBe(false);
  });

  test('presence and frequency penalties: no token twice while others are left', async () => {
    // Every letter is equally likely, so a penalty decides at temperature 0.
    const script: typeof babble = () => Array.from({ length: 256 }, (_, id) => (LETTERS.includes(id) ? 4 : -9));
    const { ask } = await asking({ script });
    for (const penalty of [{ presence_penalty: 0.1 }, { frequency_penalty: 0.1 }, { repetition_penalty: 1.1 }]) {
      const ids = idsOf(await ask({ temperature: 0, max_tokens: 26, ...penalty }));
      const fromPrompt = 'repetition_penalty' in penalty ? [...Buffer.from('helo')] : [];
      const fresh = 26 - fromPrompt.length;
      expect(new Set(ids.slice(0, fresh)).size).toBe(fresh);
      expect(ids.slice(0, fresh).filter((id) => fromPrompt.includes(id))).toEqual([]);
    }
    expect(new Set(idsOf(await ask({ temperature: 0, max_tokens: 26 }))).size).toBe(1);
  });

  test('allowed_token_ids: nothing else comes, also from a safety expert that is alone', async () => {
    const { ask } = await asking();
    const allowed = [65, 66, 67];
    for (const line of [{}, { budget: 0 }, { action: 'safety_only' }, { mode: 'layers' }] as const) {
      const frames = await ask({ allowed_token_ids: allowed }, { line });
      expect(idsOf(frames).every((id) => allowed.includes(id))).toBe(true);
      // The end is not among them.
      expect(endOf(frames)).toMatchObject({ finish_reason: 'length' });
    }
  });

  test('min_tokens and ignore_eos: the answer does not end early', async () => {
    const script: typeof babble = () => Array.from({ length: 256 }, (_, id) => (id === 0 ? 9 : id === 97 ? 0 : -9));
    const { ask } = await asking({ script });
    expect(idsOf(await ask({ temperature: 0 }))).toEqual([97, 0]);
    expect(idsOf(await ask({ temperature: 0, min_tokens: 3 }))).toEqual([97, 97, 97, 0]);
    expect(idsOf(await ask({ temperature: 0, ignore_eos: true, max_tokens: 4 }))).toEqual([97, 0, 0, 0]);
  });
});

test('log-probabilities: each token has its bytes and the likeliest ones, with the experts’ own numbers', async () => {
  const { ask } = await asking();
  const plain = tokensOf(await ask({}));
  const frames = tokensOf(await ask({ logprobs: true, top_logprobs: 5 }));
  expect(frames.map(({ bytes: _, top: __, ...frame }) => frame)).toEqual(plain);
  for (const { id, lp, lp_s, lp_h, bytes, top } of frames) {
    expect(bytes).toEqual([id]);
    expect(top).toHaveLength(5);
    expect(top!.map(({ lp }) => lp)).toEqual(top!.map(({ lp }) => lp!).sort((a, b) => b - a));
    const drawn = top!.find((one) => one.id === id);
    if (drawn) expect(drawn).toEqual({ id, bytes, lp, lp_s, lp_h });
    else expect(lp).toBeLessThanOrEqual(top!.at(-1)!.lp!);
  }
  for (const { bytes, top } of tokensOf(await ask({ logprobs: true }))) {
    expect(bytes).toHaveLength(1);
    expect(top).toEqual([]);
  }
});

test('without the experts’ own numbers, the same tokens with the same log-probabilities', async () => {
  const { ask } = await asking();
  const asked = { logprobs: true, top_logprobs: 3 };
  const full = tokensOf(await ask(asked));
  expect(full.every(({ lp_s }) => lp_s !== null)).toBe(true);
  const without = { lp_s: null, lp_h: null };
  expect(tokensOf(await ask({ ...asked, expert_logprobs: false }))).toEqual(
    full.map((frame) => ({ ...frame, ...without, top: frame.top!.map((one) => ({ ...one, ...without })) })),
  );
});

describe('several answers', () => {
  test('each have a receipt of their own; every number of the sum can be checked', async () => {
    const { ask } = await asking();
    const frames = await ask({ n: 3, stop: ['e'], max_tokens: 30 }, { line: { budget: 3 } });
    const ends = frames.filter((frame) => frame.type === 'end');
    expect(ends.map(choiceOf).sort()).toEqual([0, 1, 2]);
    const body = JSON.stringify(generateRequest({ n: 3, stop: ['e'], max_tokens: 30 }));
    let completion = 0;
    for (const end of ends) {
      const own = frames.filter((frame) => ['token', 'text'].includes(frame.type) && choiceOf(frame) === choiceOf(end));
      const receipt = await verifyReceipt(end.receipt, jwks());
      const drawn = tokensOf(own).length;
      completion += drawn;
      expect(receipt).toMatchObject({
        choice: choiceOf(end),
        choices: 3,
        prompt_digest: await sha256Hex(body),
        answer_digest: await sha256Hex(textOf(own)),
        usage: { prompt_tokens: 5, completion_tokens: drawn, total_tokens: 5 + drawn },
        spent: tokensOf(own).at(-1)!.spent,
        weights: end.weights,
        finish_reason: end.finish_reason,
      });
      expect(receipt.spent).toBeLessThanOrEqual(3);
    }
    expect(frames.at(-1)).toMatchObject({
      type: 'end',
      total: { prompt_tokens: 5, completion_tokens: completion, total_tokens: 5 + completion },
    });
  });

  test('begin with the ones that fewer would have been, and differ from each other', async () => {
    const { ask } = await asking();
    const answers = async (n: number) => {
      const frames = await ask({ n });
      return Array.from({ length: n }, (_, choice) => idsOf(frames.filter((frame) => choiceOf(frame) === choice)));
    };
    const [one, four] = [await answers(1), await answers(4)];
    expect(four[0]).toEqual(one[0]);
    expect(new Set(four.map(String)).size).toBe(4);
  });

  test('of which one breaks end with one error frame', async () => {
    let calls = 0;
    const script: typeof babble = (expert, ids) => {
      if (expert === 'safety' && ids.length === 8 && ++calls === 2) throw new Error('gone');
      return babble(expert, ids);
    };
    const { ask } = await asking({ script });
    const frames = await ask({ n: 3 });
    expect(frames.filter(({ type }) => type === 'error')).toHaveLength(1);
    expect(frames.at(-1)).toMatchObject({ type: 'error', code: 'expert_failed' });
    expect(frames.filter(({ type }) => type === 'end')).toEqual([]);
  });
});

test('an echo comes before the first token, and the receipt’s digest leaves it out', async () => {
  const { ask } = await asking();
  const frames = await ask({ echo: true });
  expect(frames.slice(0, 2).map(({ type }) => type)).toEqual(['start', 'echo']);
  expect(frames[1]).toEqual({ type: 'echo', text: 'hello' });
  const receipt = await verifyReceipt(endOf(frames).receipt, jwks());
  expect(receipt.answer_digest).toBe(await sha256Hex(textOf(frames.slice(2))));
});

test('an echo with log-probabilities has those of each token of the prompt but the first', async () => {
  const { ask } = await asking();
  const frames = await ask({ echo: true, logprobs: true, top_logprobs: 2 });
  const echo = frames.find((frame) => frame.type === 'echo');
  expect(echo).toMatchObject({ text: 'hello' });
  expect(echo!.tokens!.map(({ id }) => id)).toEqual([...Buffer.from('hello')]);
  expect(echo!.tokens!.map(({ lp, top }) => [lp === null, top.length])).toEqual([
    [true, 0],
    ...Array(4).fill([false, 2]),
  ]);
  expect(idsOf(frames)).toEqual(idsOf(await ask({})));
});

test.each([0, -1, 2 ** 53 - 1, '9223372036854775807', '-9223372036854775808'])(
  'the seed %s gives an answer of its own, and the receipt has it',
  async (seed) => {
    const { ask } = await asking();
    const frames = await ask({ seed });
    expect((await verifyReceipt(endOf(frames).receipt, jwks())).seed).toBe(seed);
    expect(idsOf(await ask({ seed }))).toEqual(idsOf(frames));
    expect(idsOf(await ask({ seed: 77 }))).not.toEqual(idsOf(frames));
  },
);

test.each<[object, string, RegExp]>([
  [{ seed: '9223372036854775808' }, 'seed', /64-bit/],
  [{ min_tokens: 13 }, 'min_tokens', /at most max_tokens \(12\), found 13/],
  [{ max_tokens: null, min_tokens: 92 }, 'min_tokens', /min_tokens is 92.*at most 91/],
  [{ logit_bias: { 256: 1 } }, 'logit_bias', /token id 256.*0 to 255/],
  [{ allowed_token_ids: [3, 999] }, 'allowed_token_ids', /token id 999.*0 to 255/],
  [{ top_logprobs: 2 }, 'top_logprobs', /expected 0 without logprobs/],
  [{ n: 0 }, 'n', /^n: /],
])('%j is a 400 that names the field, before any work', async (changes, param, message) => {
  const { refusal, engine } = await asking();
  expect(await refusal(changes)).toMatchObject({
    status: 400,
    code: 'invalid_value',
    param,
    message: expect.stringMatching(message),
  });
  expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, rows: 0 });
});
