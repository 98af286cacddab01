/**
 * Replays against the gate itself: answers are drawn under one line, and each step's distribution
 * is computed again under another one.
 */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { gateStep } from '#shared/gate/gate-step.ts';
import { LOG_ZERO, SPENT_UNBOUNDED, seedKey, startGate } from '#shared/gate/index.ts';
import { logSoftmax } from '#shared/gate/log-softmax.ts';
import { stepDistribution } from '#shared/gate/step-distribution.ts';
import { type Line, OPEN_LINE, RULES } from '#shared/line/line.ts';
import { type Replay, replay, type StoredAnswer, type StoredToken } from './replay.ts';

const VOCABULARY = 8;
const TOKENS = 6;

type Rows = { safetyLogits: Float32Array; helpfulLogits: Float32Array; proposal: number };

/** The experts' rows and the router's proposal at each position, from a seed. */
function rowsOf(seed: number, { broken = false }: { broken?: boolean } = {}): Rows[] {
  let state = seed >>> 0;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const row = () => Float32Array.from({ length: VOCABULARY }, () => 6 * random());
  const proposal = () => (broken && random() < 0.3 ? Number.NaN : random());
  return Array.from({ length: TOKENS }, () => ({ safetyLogits: row(), helpfulLogits: row(), proposal: proposal() }));
}

const finite = (lp: number) => (lp <= LOG_ZERO ? null : lp);

/** An answer as a trace stores it, with the `top` likeliest tokens of each step. */
function answerUnder(
  line: Line,
  rows: readonly Rows[],
  { temperature, top, scale }: { temperature: number; top: number; scale?: ReadonlyMap<number, number> },
): StoredAnswer {
  let state = startGate();
  const tokens = rows.map((row): StoredToken => {
    const step = gateStep({
      ...row,
      policy: line,
      sampling: { temperature, topP: 1, key: seedKey(5), ...(scale && { scale }) },
      state,
      ...(top > 0 && { report: { topLogprobs: top, experts: true } }),
    });
    state = step.state;
    return {
      id: step.token,
      weight: step.weight,
      lp_s: finite(step.logprobSafety),
      lp_h: finite(step.logprobHelpful),
      spent: step.spent === SPENT_UNBOUNDED ? null : step.spent,
      ...(step.top && {
        top: step.top.map(({ token, logprob, logprobSafety = LOG_ZERO, logprobHelpful = LOG_ZERO }) => ({
          id: token,
          lp: finite(logprob),
          lp_s: finite(logprobSafety),
          lp_h: finite(logprobHelpful),
        })),
      }),
    };
  });
  const whole = { isCut: false, isReshaped: scale !== undefined, isAccounted: true };
  return { tokens, line, temperature, ...whole, finish: 'length', asked: TOKENS, limit: TOKENS };
}

/** Whether a step draws from other probabilities, or at temperature 0 takes another token. */
function differsAt(
  at: number,
  other: Line,
  { stored, rows, scale }: { stored: StoredAnswer; rows: readonly Rows[]; scale?: ReadonlyMap<number, number> },
): boolean {
  const { safetyLogits, helpfulLogits, proposal } = rows[at]!;
  const spent = at === 0 ? 0 : (stored.tokens[at - 1]!.spent ?? SPENT_UNBOUNDED);
  const under = (policy: Line) =>
    stepDistribution({
      safety: logSoftmax(safetyLogits),
      helpful: logSoftmax(helpfulLogits),
      proposal,
      policy,
      sampling: { temperature: stored.temperature, topP: 1, key: seedKey(5), ...(scale && { scale }) },
      state: { position: at, spent },
    }).q.logprobs;
  const [a, b] = [under(stored.line), under(other)];
  return a.some((lp, i) => Math.abs(Math.exp(lp) - Math.exp(b[i]!)) > 1e-12);
}

const share = fc.constantFrom(0, 0.2, 0.5, 0.8, 1);
const lines: fc.Arbitrary<Line> = fc
  .record({
    action: fc.constant('mix' as const),
    mode: fc.constant('logits' as const),
    rule: fc.constantFrom(...RULES),
    floor: share,
    ceiling: share,
    opening: fc.record({ tokens: fc.nat(3), floor: share }),
    budget: fc.constantFrom(null, 0, 0.5, 2, 6),
    earned: fc.constantFrom(null, { start: 0.5, rate: 0.5 }),
  })
  .map((line) => ({ ...line, ceiling: Math.max(line.ceiling, line.floor) }));

const PENALTY = new Map([0, 2, 5].map((token) => [token, 1.8]));

describe.each<[string, number, number, { scale?: ReadonlyMap<number, number>; broken?: boolean }]>([
  ['drawn', 1, 0, {}],
  ['drawn where some proposals of the router are broken', 1, 0, { broken: true }],
  ['drawn under a penalty for repetition', 1, 0, { scale: PENALTY }],
  ['greedy', 0, 0, {}],
  ['greedy, with its likeliest tokens stored', 0, 3, {}],
  ['greedy, with its likeliest tokens stored, under a penalty for repetition', 0, 3, { scale: PENALTY }],
])('an answer that was %s', (_, temperature, top, { broken = false, ...shaped }) => {
  test('is the same before the first token that could differ, and surely another one where it says so', () => {
    const seen = { same: 0, sure: 0, exact: 0 };
    fc.assert(
      fc.property(fc.nat(), lines, lines, fc.boolean(), (seed, line, changed, onlyOne) => {
        // Often only one bound changes, as people change policies.
        const other = onlyOne
          ? { ...line, floor: changed.floor, ceiling: Math.max(line.ceiling, changed.floor) }
          : changed;
        const rows = rowsOf(seed, { broken });
        const stored = answerUnder(line, rows, { temperature, top, ...shaped });
        const { could, surely, exact } = replay(stored, { line: other, maxTokens: null });
        for (let at = 0; at < (could?.token ?? TOKENS); at++) {
          expect(differsAt(at, other, { stored, rows, ...shaped }), `token ${at} differs`).toBe(false);
          seen.same++;
        }
        if (surely !== null) {
          expect(differsAt(surely.token, other, { stored, rows, ...shaped }), surely.why).toBe(true);
          seen.sure++;
        }
        if (exact && could !== null) seen.exact++;
      }),
      { numRuns: 1500 },
    );
    // None of it was true for want of cases.
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(15);
  });
});

test('the stored tokens tell more than the trace alone', () => {
  const told = (top: number) => {
    const others = [0.1, 0.4, 0.7].map((floor): Line => ({ ...OPEN_LINE, floor }));
    const found = Array.from({ length: 40 }, (_, seed) => {
      const stored = answerUnder({ ...OPEN_LINE, floor: 0.3 }, rowsOf(seed), { temperature: 0, top });
      return others.map((line): Replay => replay(stored, { line, maxTokens: null }));
    }).flat();
    return found.filter(({ exact }) => exact).length;
  };
  expect(told(3)).toBeGreaterThan(2 * told(0));
});

describe('what is no matter of a token', () => {
  const stored = answerUnder(OPEN_LINE, rowsOf(1), { temperature: 0, top: 0 });
  const same = { line: OPEN_LINE, maxTokens: null };
  test.each([
    ['the same policy makes no difference', stored, same, null, null],
    ['a policy that refuses differs at once', stored, null, 0, 0],
    ['a policy that allows fewer tokens differs where it ends the answer', stored, { ...same, maxTokens: 4 }, 4, 4],
    ['an answer that its policy cut off could be longer', { ...stored, asked: null }, same, TOKENS, null],
    ['an answer that the context cut off could not', { ...stored, asked: null, limit: null }, same, null, null],
    ['an answer whose limit nobody knows could be', { ...stored, asked: null, limit: undefined }, same, TOKENS, null],
    [
      'an answer that was refused, and is not any more',
      { ...stored, tokens: [], finish: 'content_filter' as const },
      same,
      0,
      0,
    ],
    [
      'an answer that was refused, and still is',
      { ...stored, tokens: [], finish: 'content_filter' as const },
      null,
      null,
      null,
    ],
  ])('%s', (_, answer, other, could, surely) => {
    const found = replay(answer, other);
    expect([found.could?.token ?? null, found.surely?.token ?? null]).toEqual([could, surely]);
    expect(found.exact).toBe(could === surely);
  });

  test('an answer that ended by itself might end elsewhere under other bounds, and the trace does not say', () => {
    const ended = { ...stored, finish: 'stop' as const };
    expect(replay(ended, same)).toEqual({ could: null, surely: null, unknown: null, exact: true });
    const looser = { ...OPEN_LINE, ceiling: 0.999 };
    expect(replay(ended, { line: looser, maxTokens: null }).could).not.toBeNull();
  });

  test('where the safety expert was not asked, no trace tells what a budget leaves', () => {
    const alone = { ...OPEN_LINE, ceiling: 0 };
    const tokens = answerUnder(alone, rowsOf(1), { temperature: 1, top: 0 }).tokens;
    const unasked = tokens.map((token) => ({ ...token, lp_s: null, spent: null }));
    const answer = { ...stored, temperature: 1, line: alone, tokens: unasked };
    const bounded = { line: { ...alone, budget: 5 }, maxTokens: null };
    const why = expect.stringContaining('the safety expert was not asked');
    const found = replay({ ...answer, isAccounted: false }, bounded);
    expect(found).toMatchObject({ could: { token: 0, why }, surely: null, exact: false, unknown: { token: 0, why } });
    // It was asked, and found the token impossible.
    expect(replay(answer, bounded)).toMatchObject({ surely: { token: 0 }, exact: true, unknown: null });
  });

  test('where rows were truncated, the stored tokens do not say what another weight takes', () => {
    const top = answerUnder({ ...OPEN_LINE, floor: 0.3 }, rowsOf(3), { temperature: 0, top: 3 });
    const other = { line: { ...OPEN_LINE, floor: 0.9 }, maxTokens: null };
    expect(replay(top, other).surely).not.toBeNull();
    expect(replay({ ...top, isReshaped: true }, other)).toMatchObject({ surely: null, exact: false });
    const drawn = answerUnder({ ...OPEN_LINE, floor: 0.3 }, rowsOf(3), { temperature: 1, top: 0 });
    expect(replay(drawn, other).surely).not.toBeNull();
    expect(replay({ ...drawn, isReshaped: true }, other).surely).toBeNull();
  });

  test('under another rule, one token does not show that the distributions differ', () => {
    const drawn = answerUnder({ ...OPEN_LINE, floor: 0.3 }, rowsOf(3), { temperature: 1, top: 0 });
    const other = { line: { ...OPEN_LINE, rule: 'arithmetic' as const, floor: 0.9 }, maxTokens: null };
    expect(replay(drawn, other).surely).toBeNull();
  });

  test('in the mode layers, another floor is never told from a trace', () => {
    const layers = { ...stored, line: { ...OPEN_LINE, mode: 'layers' as const } };
    const found = replay(layers, { line: { ...layers.line, floor: 0.5 }, maxTokens: null });
    expect(found).toMatchObject({
      could: { token: 0, why: expect.stringContaining('layers') },
      surely: null,
      exact: false,
    });
  });
});
