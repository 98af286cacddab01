/** What the gate is told at each token, against a slow version that looks at the whole answer. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AnswerSampling } from '#shared/answer/answer-sampling.ts';
import { ERROR_CODES } from '#shared/api/errors.ts';
import { isAllowed, NO_WEIGHTS, seedKey } from '#shared/gate/index.ts';
import type { AnswerState } from './answer-state.ts';
import type { EngineRequest } from './engine.ts';
import { request } from './testing/engine-contract.ts';
import { allowedTokens, type MaskOf } from './token-mask.ts';

const SIZE = 40;
const EOS = [0, 39];
const vocabulary = { eos: EOS, banned: [1, 2] };
const KEY = seedKey(1);

const samplingOf = (asked: EngineRequest, maskOf: MaskOf = allowedTokens) =>
  new AnswerSampling(asked, { key: KEY, vocabulary, mask: maskOf(asked) });

const stateAfter = (ids: number[]): AnswerState => ({
  ids,
  spent: 0,
  weights: NO_WEIGHTS,
  ran: {},
});

const id = fc.nat(SIZE - 1);
const ids = fc.array(id, { maxLength: 12 });
const nats = fc.double({ min: -2, max: 2, noNaN: true });

test('bias and penalties count the answer alone; the repetition penalty knows the client’s tokens too', () => {
  const given = fc.record({
    promptIds: ids,
    answer: ids,
    presencePenalty: nats,
    frequencyPenalty: nats,
    repetitionPenalty: fc.double({ min: 0.1, max: 2, noNaN: true }),
    logitBias: fc.array(fc.tuple(id, fc.double({ min: -100, max: 100, noNaN: true })), { maxLength: 5 }),
  });
  fc.assert(
    fc.property(given, ({ promptIds, answer, logitBias, ...penalties }) => {
      const bias = new Map(logitBias);
      const asked = request({
        promptIds,
        // What an expert reads by itself must not show in the client's answer.
        rowPrompts: { safety: [...promptIds, 30, 31, 32] },
        sampling: { ...penalties, logitBias: bias },
      });
      const sampling = samplingOf(asked);
      for (const token of answer) sampling.accept(token);
      const next = sampling.next({ saysSomething: true });
      for (let token = 0; token < SIZE; token++) {
        const count = answer.filter((drawn) => drawn === token).length;
        const { presencePenalty, frequencyPenalty } = penalties;
        // OpenAI's formula: mu[j] - c[j] * frequency_penalty - (c[j] > 0) * presence_penalty.
        const expected = (bias.get(token) ?? 0) - count * frequencyPenalty - (count > 0 ? 1 : 0) * presencePenalty;
        expect(next.bias?.get(token) ?? 0).toBeCloseTo(expected, 12);
        const isSeen = promptIds.includes(token) || answer.includes(token);
        expect(next.scale?.get(token) ?? 1).toBe(isSeen ? penalties.repetitionPenalty : 1);
      }
      // A resumed answer is told the same.
      const resumed = samplingOf({ ...asked, resume: stateAfter(answer) });
      expect(resumed.next({ saysSomething: true })).toEqual(next);
    }),
  );
});

describe('a mask', () => {
  /** The tokens that may be drawn. */
  const left = (sampling: AnswerSampling, saysSomething = true) => {
    const { mask, allowed } = sampling.next({ saysSomething });
    return all.filter((id) => !mask?.has(id) && (!allowed || isAllowed(allowed, id)));
  };
  const all = Array.from({ length: SIZE }, (_, id) => id);
  const allBut = (...out: number[]) => all.filter((id) => !out.includes(id));

  test('never allows a special token, and allows an end once the answer may end', () => {
    expect(left(samplingOf(request()))).toEqual(allBut(1, 2));
    expect(left(samplingOf(request()), false)).toEqual(allBut(0, 1, 2, 39));
  });

  test('holds the ends back until the answer has min_tokens', () => {
    const sampling = samplingOf(request({ minTokens: 2 }));
    for (const out of [
      [0, 1, 2, 39],
      [0, 1, 2, 39],
      [1, 2],
    ]) {
      expect(left(sampling)).toEqual(allBut(...out));
      sampling.accept(5);
    }
  });

  test('allows only the listed tokens, but no special ones among them', () => {
    const sampling = samplingOf(request({ sampling: { allowedIds: [38, 0, 2, 31, 32] } }));
    expect(left(sampling)).toEqual([0, 31, 32, 38]);
    expect(left(sampling, false)).toEqual([31, 32, 38]);
  });

  test('may be as long as any vocabulary', () => {
    const mask = allowedTokens(request({ sampling: { allowedIds: Array.from({ length: 300_000 }, (_, id) => id) } }));
    expect(mask!.allowed()!.every((word) => word === 0xffff_ffff)).toBe(true);
  });

  test('that leaves nothing but an end ends the answer, whatever min_tokens says', () => {
    const sampling = samplingOf(request({ sampling: { allowedIds: [39, 1] }, minTokens: 5 }));
    expect(left(sampling, false)).toEqual([39]);
  });

  test('that leaves nothing at all is refused before any work', () => {
    expect(() => samplingOf(request({ sampling: { allowedIds: [1, 2] } }))).toThrow(
      expect.objectContaining({ code: 'invalid_request', message: expect.stringContaining('no token') }),
    );
  });

  test('that leaves nothing later stops the answer for good: no other backend would have more', () => {
    let left = true;
    const ending: MaskOf = () => ({
      allowed: () => Uint32Array.of(left ? 1 << 5 : 0),
      accept: () => {
        left = false;
      },
    });
    const sampling = samplingOf(request({}), ending);
    sampling.next({ saysSomething: true });
    sampling.accept(5);
    let thrown: unknown;
    try {
      sampling.next({ saysSomething: true });
    } catch (caught) {
      thrown = caught;
    }
    expect(thrown).toMatchObject({
      status: 400,
      code: 'unsupported_value',
      message: expect.stringContaining('grammar'),
    });
    expect(ERROR_CODES.unsupported_value.retry).toBe(false);
  });

  test('follows the answer, and the one of a resumed answer has been told its tokens', () => {
    // Allows one token more than the last one drawn.
    const counting: MaskOf = () => {
      let last = 9;
      return {
        allowed: () => {
          const bits = new Uint32Array(2);
          bits[(last + 1) >> 5] = 1 << ((last + 1) & 31);
          return bits;
        },
        accept: (token) => {
          last = token;
        },
      };
    };
    const sampling = samplingOf(request(), counting);
    expect(left(sampling)).toEqual([10]);
    sampling.accept(10);
    expect(left(sampling)).toEqual([11]);
    expect(left(samplingOf(request({ resume: stateAfter([10, 11]) }), counting))).toEqual([12]);
  });

  test('may allow everything', () => {
    expect(left(samplingOf(request(), () => ({ allowed: () => null, accept: () => {} })))).toEqual(allBut(1, 2));
  });
});
