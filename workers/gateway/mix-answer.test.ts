/** The edge's loop over experts that are functions of the text: the line's laws, and what fails. */
import * as fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { PlimsollError } from '#shared/api/errors.ts';
import type { LookReport, TokenTrace } from '#shared/api/plimsoll-extension.ts';
import { gateStep, type OwnRow, seedKey, startGate } from '#shared/gate/index.ts';
import { keepTop } from '#shared/gate/keep-top.ts';
import { logSoftmax } from '#shared/gate/log-softmax.ts';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { type Line, OPEN_LINE, RULES } from '#shared/line/line.ts';
import type { ExpertRow, ExpertStart } from '#shared/protocol/expert-messages.ts';
import { GenerateRequest } from '#shared/protocol/generate.ts';
import { crossedLine } from '#shared/protocol/line-held.ts';
import type { SecondLook } from '#shared/protocol/second-look.ts';
import { ExpertRows } from './expert-rows.ts';
import type { ExpertSession } from './expert-socket.ts';
import { type MixedEnd, maskOf, mixAnswer } from './mix-answer.ts';
import { unheard } from './pool-member.ts';

afterEach(() => vi.useRealTimers());

const SIZE = 8;
const MOST = 6;
/** Token 0 ends an answer; the others are letters. */
const vocabulary = {
  eos: [0],
  banned: [],
  bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(96 + id)),
};
const gone = () => new PlimsollError('backend_unavailable', 'gone');

type Expert = (ids: readonly number[]) => Float32Array;

/** Logits that depend on the text and on nothing else. */
const expert =
  (seed: number): Expert =>
  (ids) => {
    const turn = ids.reduce((hash, id) => (hash * 31 + id + 1) % 9973, (seed % 9973) + 1);
    return Float32Array.from({ length: SIZE }, (_, id) => 4 * Math.sin(turn * (id + 1.5)));
  };

const startOf = (key: ExpertStart['key'], proposal: ExpertStart['proposal']): ExpertStart => ({
  type: 'start',
  backend: 'b',
  model: 'm',
  bundle: 'x',
  vocab_size: SIZE,
  draws: 'd',
  experts: { safety: { kind: 'adapter' }, helpfulness: { kind: 'base' } },
  prompt_tokens: 3,
  most_tokens: MOST,
  proposal,
  ...(key && { key }),
});

type Fake = {
  expert: Expert;
  topK: number | null;
  key: number;
  proposal: ExpertStart['proposal'];
  breaksAt?: number;
  /** How it breaks. */
  breaks?: () => PlimsollError;
  /** From there on, no row comes. */
  stallsAt?: number;
  look?: LookReport;
};

/** An expert whose backends are gone from the position `breaksAt` on. */
function rowsOf(
  { expert, topK, key, proposal, breaksAt = Infinity, breaks = gone, stallsAt = Infinity, look }: Fake,
  ids: number[],
): Promise<ExpertRows> {
  const rowAt = (position: number): ExpertRow => {
    const logits = expert(ids.slice(0, position));
    const about = { epoch: 0, position, draft: null, half: new Float64Array() };
    return topK === null ? { ...about, logits } : { ...about, ...own(logits, topK) };
  };
  const session: ExpertSession = {
    member: unheard('http://b'),
    directive: 'directive',
    asked: { line: OPEN_LINE, second_look: null },
    // The cast: a seed's key has four words.
    start: startOf([...seedKey(key)] as unknown as ExpertStart['key'], proposal),
    look: () => look ?? null,
    row: async (position) => {
      if (position >= breaksAt) throw breaks();
      if (position >= stallsAt) await new Promise(() => undefined);
      return rowAt(position);
    },
    firstWord: async () => {
      if (breaksAt <= 0 && look === undefined) throw gone();
    },
    take: () => {},
    close: () => {},
  };
  let isOpen = false;
  return ExpertRows.open(async () => {
    if (isOpen) throw gone();
    isOpen = true;
    return session;
  }, ids);
}

function own(logits: Float32Array, k: number): OwnRow {
  const row = logSoftmax(logits)!;
  const ids = Int32Array.from([...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b).slice(0, k)).sort();
  const logprobs = Float64Array.from(ids, (id) => row[id]!);
  return { ids, logprobs, left: Math.max(0, 1 - logprobs.reduce((sum, lp) => sum + Math.exp(lp), 0)) };
}

type Asked = {
  line?: Partial<Line>;
  safety: Fake;
  helpful: Fake | null;
  secondLook?: SecondLook | null;
  request?: object;
};

async function mixed({ line = {}, safety, helpful, secondLook = null, request = {} }: Asked) {
  const ids: number[] = [];
  const tokens: TokenTrace[] = [];
  let text = '';
  let alone = 0;
  const answer = mixAnswer({
    line: { ...OPEN_LINE, mode: 'edge', ...line },
    secondLook,
    request: GenerateRequest.parse({
      model: 'm',
      messages: [{ role: 'user', content: 'hi' }],
      max_tokens: MOST,
      stop: [],
      seed: 1,
      temperature: 1,
      top_p: 1,
      ignore_eos: true,
      ...request,
    }),
    vocabulary,
    key: seedKey(safety.key),
    topK: safety.topK,
    besideMs: 10_000,
    ids,
    safety: await rowsOf(safety, ids),
    helpful: helpful && (await rowsOf(helpful, ids)),
    onAlone: () => {
      alone++;
    },
  });
  let next = await answer.next();
  for (; !next.done; next = await answer.next()) {
    text += next.value.text;
    tokens.push(...next.value.tokens);
  }
  const end: MixedEnd = next.value;
  return { ids, tokens, text, end, alone };
}

const share = fc.double({ min: 0, max: 1, noNaN: true });
const lines = fc.record({
  floor: share,
  ceiling: share,
  opening: fc.record({ tokens: fc.nat(3), floor: share }),
  rule: fc.constantFrom(...RULES),
  budget: fc.option(fc.double({ min: 0, max: 3, noNaN: true })),
});
const given = fc.record({
  line: lines,
  seeds: fc.tuple(fc.nat(), fc.nat()),
  key: fc.nat(),
  proposal: share,
  topK: fc.option(fc.integer({ min: 2, max: SIZE - 1 })),
  breaksAt: fc.constantFrom(Infinity, 0, 2),
});

describe('the laws', () => {
  test('floor and budget hold at every token, also after the helpfulness expert is lost', async () => {
    await fc.assert(
      fc.asyncProperty(given, async ({ line, seeds: [s, h], key, proposal, topK, breaksAt }) => {
        const safety = { expert: expert(s), topK, key, proposal };
        const { ids, tokens, end } = await mixed({ line, safety, helpful: { ...safety, expert: expert(h), breaksAt } });
        let spent = 0;
        for (const [position, { id, lp, weight, floor }] of tokens.entries()) {
          expect(floor).toBeGreaterThanOrEqual(
            Math.max(line.floor, position < line.opening.tokens ? line.opening.floor : 0),
          );
          expect(weight).toBeGreaterThanOrEqual(floor);
          if (position >= breaksAt) expect(weight).toBe(1);
          // The reference, from the safety expert alone.
          const whole = logSoftmax(expert(s)(ids.slice(0, position)))!;
          const top = (topK === null ? whole : keepTop(whole, topK)!).slice();
          // Before its first word, an answer may not end.
          if (position === 0) top[0] = -Infinity;
          const reference = logSoftmax(top)!;
          spent += (lp ?? -Infinity) - reference[id]!;
          if (line.budget !== null) expect(spent).toBeLessThanOrEqual(line.budget + 1e-9);
        }
        if (Number.isFinite(spent)) expect(end.spent).toBeCloseTo(spent, 6);
        expect(crossedLine(end)).toBeNull();
      }),
      { numRuns: 300 },
    );
  });

  test('with whole rows, it draws what the gate draws from them', async () => {
    await fc.assert(
      fc.asyncProperty(given, async ({ line, seeds: [s, h], key, proposal }) => {
        const safety = { expert: expert(s), topK: null, key, proposal };
        const { ids } = await mixed({ line, safety, helpful: { ...safety, expert: expert(h) } });
        const policy = { ...line, earned: null };
        const drawn: number[] = [];
        for (let state = startGate(); drawn.length < MOST; ) {
          const step = gateStep({
            safetyLogits: expert(s)(drawn),
            helpfulLogits: expert(h)(drawn),
            proposal,
            policy,
            // Nothing may end before it has said a word.
            sampling: { temperature: 1, topP: 1, key: seedKey(key), ...(drawn.length === 0 && { mask: new Set([0]) }) },
            state,
          });
          state = step.state;
          drawn.push(step.token);
        }
        expect(ids).toEqual(drawn);
      }),
      { numRuns: 100 },
    );
  });
});

const base = { topK: null, key: 5, proposal: 0.4 };
const SAFETY: Fake = { ...base, expert: expert(1) };
const HELPFUL: Fake = { ...base, expert: expert(2) };

describe('what fails', () => {
  test.each([0, 3])('without the safety expert from token %i on, the answer breaks off there', async (breaksAt) => {
    const seen: string[] = [];
    const ids: number[] = [];
    await expect(mixed({ safety: { ...SAFETY, breaksAt }, helpful: HELPFUL })).rejects.toMatchObject({
      code: 'backend_unavailable',
    });
    expect([seen, ids]).toEqual([[], []]);
  });

  test.each([0, 3])('without the helpfulness expert from token %i on, the safety expert draws alone', async (at) => {
    const { tokens, end, alone } = await mixed({ safety: SAFETY, helpful: { ...HELPFUL, breaksAt: at } });
    expect(tokens.map(({ weight }) => weight === 1)).toEqual(tokens.map((_, i) => i >= at));
    expect(end.ran).toEqual(at === 0 ? { safety: MOST } : { safety: MOST, helpfulness: at });
    expect(alone).toBe(1);
  });

  test('an error that stays takes away the helpfulness expert, and not the answer', async () => {
    const breaks = () => new PlimsollError('internal_error', 'no');
    const { end, alone } = await mixed({ safety: SAFETY, helpful: { ...HELPFUL, breaksAt: 2, breaks } });
    expect(end.ran).toEqual({ safety: MOST, helpfulness: 2 });
    expect(alone).toBe(1);
  });

  test.each([0, 3])(
    'a helpfulness row that has not come ten seconds later, at token %i, is not awaited',
    async (at) => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      const answer = mixed({ safety: SAFETY, helpful: { ...HELPFUL, stallsAt: at } });
      await vi.advanceTimersByTimeAsync(10_000);
      const { tokens, end, alone } = await answer;
      expect(tokens.map(({ weight }) => weight === 1)).toEqual(tokens.map((_, i) => i >= at));
      expect(end.ran).toEqual(at === 0 ? { safety: MOST } : { safety: MOST, helpfulness: at });
      expect(alone).toBe(1);
    },
  );

  const router = { bias: [0], out: [1], c: 0 };
  const only = (id: number) => Float32Array.from({ length: SIZE }, (_, i) => (i === id ? 0 : -Infinity));
  test.each<[string, Partial<Fake>, Partial<Fake>]>([
    ['a NaN', { expert: () => new Float32Array(SIZE).fill(Number.NaN) }, {}],
    ['another vocabulary', { expert: () => new Float32Array(SIZE + 1) }, {}],
    ['another kind of row', { topK: 4 }, {}],
    ['half of the router missing', {}, { proposal: router }],
    ['no token in common', { expert: () => only(1) }, { expert: () => only(2) }],
  ])('rows of the helpfulness expert with %s close the gate, and have not run', async (_, broken, safety) => {
    const { tokens, end } = await mixed({ safety: { ...SAFETY, ...safety }, helpful: { ...HELPFUL, ...broken } });
    expect(tokens.map(({ weight }) => weight)).toEqual(tokens.map(() => 1));
    expect(end.ran).toEqual({ safety: MOST });
    expect(end.mixed!.helpfulness).toEqual([]);
  });

  test('the receipt counts the rows that could be used, and names the first and the last of them', async () => {
    const now = (ids: readonly number[]) => (ids.length === 1 || ids.length === 3 ? expert(2)(ids) : only(Number.NaN));
    const { end } = await mixed({ safety: SAFETY, helpful: { ...HELPFUL, expert: now } });
    expect(end.ran).toEqual({ safety: MOST, helpfulness: 2 });
    expect(end.mixed).toMatchObject({ safety: [{ from: 0, to: MOST }], helpfulness: [{ from: 1, to: 4 }] });
  });

  test('a row that the line makes no use of has run all the same', async () => {
    const { end } = await mixed({ line: { opening: { tokens: 3, floor: 1 } }, safety: SAFETY, helpful: HELPFUL });
    expect(end.ran).toEqual({ safety: MOST, helpfulness: MOST });
  });

  test('a row of the safety expert with a NaN ends the answer with an error', async () => {
    const broken = () => new Float32Array(SIZE).fill(Number.NaN);
    await expect(mixed({ safety: { ...SAFETY, expert: broken }, helpful: HELPFUL })).rejects.toMatchObject({
      code: 'expert_failed',
    });
  });

  test('a proposal that is no share closes the gate', async () => {
    const { tokens } = await mixed({ safety: { ...SAFETY, proposal: Number.NaN }, helpful: HELPFUL });
    expect(tokens.map(({ weight }) => weight)).toEqual(tokens.map(() => 1));
  });
});

describe('the second look', () => {
  const found = (probability: number): LookReport => ({
    version: 'p1',
    categories: JUDGEMENTS.map((name) => ({ name, probability: name === 'violence' ? probability : 0 })),
    tightened: false,
    because: null,
  });
  const refuses = { base: 0, rules: { violence: { action: 'refuse', ramp: { from: 0.5, full: 0.9 } } } };
  // The cast: a rule has more fields, and all of them have neutral defaults.
  const ruled = (rules: object) => rules as unknown as SecondLook;

  test('refuses before the first token', async () => {
    const secondLook = ruled(refuses);
    const { ids, end } = await mixed({ safety: { ...SAFETY, look: found(1) }, helpful: HELPFUL, secondLook });
    expect(ids).toEqual([]);
    expect(end).toMatchObject({ finish_reason: 'content_filter', usage: { completion_tokens: 0 } });
    expect(end.second_look).toMatchObject({ tightened: true, because: 'violence' });
  });

  test('that did not come ends the answer', async () => {
    await expect(mixed({ safety: SAFETY, helpful: HELPFUL, secondLook: ruled(refuses) })).rejects.toMatchObject({
      code: 'backend_unavailable',
    });
  });
});

test('a stop string, half characters and the end of an answer are those of any other', async () => {
  const spell =
    (word: string): Expert =>
    (ids) => {
      const logits = new Float32Array(SIZE).fill(-1e9);
      logits[ids.length < word.length ? word.charCodeAt(ids.length) - 96 : 0] = 0;
      return logits;
    };
  const both = { ...base, expert: spell('abcd') };
  const whole = await mixed({ safety: both, helpful: both, request: { ignore_eos: false } });
  expect(whole).toMatchObject({ text: 'abcd', end: { finish_reason: 'stop', usage: { completion_tokens: 5 } } });
  const stopped = await mixed({ safety: both, helpful: both, request: { stop: ['cd'] } });
  expect(stopped).toMatchObject({ text: 'ab', end: { finish_reason: 'stop', usage: { completion_tokens: 4 } } });
});

test('as many ids as a request may allow make a mask, and one beyond any vocabulary makes none larger', () => {
  const ids = Array.from({ length: 300_000 }, (_, id) => id);
  const bits = maskOf(ids)!.allowed()!;
  expect(bits.length).toBe(300_000 / 32);
  expect(bits.every((word) => word === 0xffffffff)).toBe(true);
  expect([...maskOf([1, 2 ** 31 - 1, 2 ** 53 - 1])!.allowed()!]).toEqual([2]);
});
