import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LOG_ZERO, reportable, SPENT_UNBOUNDED } from './add-spending.ts';
import { seedKey } from './draw-key.ts';
import { GateError, type GateErrorCode } from './gate-error.ts';
import { type GateStepInput, startGate } from './gate-step.ts';
import { logSoftmax } from './log-softmax.ts';
import * as arbitrary from './testing/arbitraries.ts';
import { EXAMPLE_STEP } from './testing/example-step.ts';
import { GATE_VERSIONS } from './testing/gate-versions.ts';

describe.each(GATE_VERSIONS)('the $name gate', ({ gateStep, gateRows, expectNumber, expectStep }) => {
  const input: GateStepInput = {
    ...EXAMPLE_STEP,
    helpfulLogits: Float32Array.of(0, 3, -1, 1),
    proposal: 0.1,
  };
  const { policy } = input;
  /** What plain JavaScript can pass although the types forbid it. */
  const untyped = (value: unknown) => value as never;

  test('a step reports what it drew and what it spent', () => {
    const { token, weight, floor, logprobSafety, logprobHelpful, logprob, spent, state } = gateStep(input);
    expect({ token, weight, floor }).toEqual({ token: 2, weight: 0.6, floor: 0.6 });
    expectNumber(logprobSafety, -0.44018969856119533, 6);
    expectNumber(logprobHelpful, -4.185182452603812, 6);
    expectNumber(logprob, -1.2120483790770944);
    expectNumber(spent, -0.8491004438328675);
    expect(state).toEqual({ position: 1, spent });
  });

  test('greedy reports the mixture’s log-probability, since it has no q', () => {
    const step = gateStep({ ...input, sampling: { temperature: 0, topP: 0.1, key: seedKey(1) } });
    expect(step.token).toBe(1);
    const z = [0.6 * 1, 0.4 * 3, 0.6 * 2 - 0.4, -0.6 + 0.4].reduce((total, x) => total + Math.exp(x), 0);
    expect(step.logprob).toBeCloseTo(0.4 * 3 - Math.log(z), 6);
  });

  test('every number of a step is finite and survives JSON, whatever is masked', () => {
    const anySampling = fc.tuple(arbitrary.sampling, fc.boolean(), arbitrary.bias, arbitrary.mask);
    fc.assert(
      fc.property(arbitrary.rows(), arbitrary.policy, anySampling, arbitrary.share, (rows, policy, drawn, proposal) => {
        const [sampling, greedy, bias, mask] = drawn;
        const asked = { ...sampling, temperature: greedy ? 0 : sampling.temperature, bias, mask };
        // Only a mask can ban every token of the safety expert, and that throws; see below.
        fc.pre(arbitrary.leavesToken(rows.safetyLogits, { mask }));
        const step = gateStep({ ...rows, policy, sampling: asked, proposal, state: startGate() });
        const { state, ...numbers } = step;
        expect(Object.values(numbers).every(Number.isFinite)).toBe(true);
        expect(JSON.parse(JSON.stringify(step))).toEqual(step);
        expect(state).toEqual({ position: 1, spent: step.spent });
      }),
      { numRuns: 500 },
    );
  });

  test('without a budget, a token that the safety expert masks costs an unbounded amount, in numbers that survive JSON', () => {
    const step = gateStep({
      ...input,
      safetyLogits: Float32Array.of(0, -Infinity),
      helpfulLogits: Float32Array.of(-Infinity, 0),
      proposal: 0,
      policy: { ...policy, floor: 0, opening: { tokens: 0, floor: 0 }, budget: null },
    });
    expect(step).toMatchObject({ token: 1, spent: SPENT_UNBOUNDED, logprobSafety: LOG_ZERO, logprobHelpful: 0 });
  });

  test('an answer resumed under a line tighter than its spending carries on with the safety expert alone', () => {
    const step = gateStep({ ...input, policy: { ...policy, budget: 1 }, state: startGate(5, 2.5) });
    const alone = gateStep({ ...input, helpfulLogits: null, state: startGate(5, 2.5) });
    expect(step).toMatchObject({ token: alone.token, logprob: alone.logprob, spent: 2.5 });
  });

  test('with nothing left to spend, a step is the same with and without the other expert, except for what that one says', () => {
    fc.assert(
      fc.property(
        arbitrary.rows(),
        arbitrary.policy,
        arbitrary.wishes,
        arbitrary.share,
        (rows, policy, wishes, proposal) => {
          fc.pre(arbitrary.leavesToken(rows.safetyLogits, wishes));
          const rest = { policy: { ...policy, budget: 1 }, sampling: wishes, proposal, state: startGate(4, 1) };
          const { logprobHelpful: _, ...step } = gateStep({ ...rows, ...rest });
          const { logprobHelpful: _failed, ...alone } = gateStep({ ...rows, helpfulLogits: null, ...rest });
          expectStep(step, alone);
          expect(step).toMatchObject({ weight: 1, spent: 1 });
        },
      ),
    );
  });

  test('a token at its cap spends all that is left, to the last bit, so that a budget that is spent stays spent', () => {
    const helpfulLogits = Float32Array.of(-30, 30, -30, -30);
    for (const budget of [0.1, 0.3, 0.7, 1.1, 1.7, 2.3]) {
      const policy = { ...input.policy, floor: 0, opening: { tokens: 0, floor: 0 }, budget };
      const spent = Array.from({ length: 40 }, (_, seed) => {
        const sampling = { temperature: 1, topP: 1, key: seedKey(seed) };
        return gateStep({ ...input, helpfulLogits, policy, sampling, proposal: 0 });
      }).flatMap((step) => (step.token === 1 ? [step.spent] : []));
      expect(new Set(spent)).toEqual(new Set([budget]));
    }
  });

  test('reports the likeliest tokens of what was drawn from, and changes nothing else', () => {
    const wanted = fc.tuple(fc.constantFrom(0, 1, 3, 20), fc.boolean(), fc.boolean());
    fc.assert(
      fc.property(
        arbitrary.rows(),
        arbitrary.policy,
        arbitrary.wishes,
        arbitrary.share,
        wanted,
        (rows, policy, wishes, proposal, [topLogprobs, experts, greedy]) => {
          fc.pre(arbitrary.leavesToken(rows.safetyLogits, wishes));
          const sampling = greedy ? { ...wishes, temperature: 0 } : wishes;
          const rest = { policy, sampling, proposal, state: startGate() };
          const { top, ...step } = gateStep({ ...rows, ...rest, report: { topLogprobs, experts } });
          expect(step).toEqual(gateStep({ ...rows, ...rest }));
          const { q, mixture } = gateRows(rows, rest);
          const row = greedy ? mixture : q.logprobs;
          const order = [...row.keys()].filter((i) => row[i]! > -Infinity).sort((a, b) => row[b]! - row[a]! || a - b);
          expect(top!.map(({ token }) => token)).toEqual(order.slice(0, topLogprobs));
          const drawn = top!.find(({ token }) => token === step.token);
          if (drawn) expect(drawn.logprob).toBe(step.logprob);
          const [safety, helpful] = [logSoftmax(rows.safetyLogits)!, logSoftmax(rows.helpfulLogits)!];
          for (const { token, logprob, ...own } of top!) {
            expectNumber(logprob, row[token]!);
            const both = { logprobSafety: reportable(safety[token]), logprobHelpful: reportable(helpful[token]) };
            expectStep(own, experts ? both : {});
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  describe('a closed gate', () => {
    const with_ = (changes: Record<string, unknown>) => ({ ...input, ...changes }) as GateStepInput;
    const cases: [string, GateStepInput][] = [
      ['no helpfulness row', with_({ helpfulLogits: null })],
      ['a helpfulness row left out', with_({ helpfulLogits: undefined })],
      ['a NaN in the helpfulness row', with_({ helpfulLogits: Float32Array.of(0, NaN, -1, 1) })],
      ['a +Infinity in the helpfulness row', with_({ helpfulLogits: Float32Array.of(0, Infinity, -1, 1) })],
      ['a helpfulness row with every token masked', with_({ helpfulLogits: new Float32Array(4).fill(-Infinity) })],
      ['a shorter helpfulness row', with_({ helpfulLogits: new Float32Array(3) })],
      ['a longer helpfulness row', with_({ helpfulLogits: new Float32Array(5) })],
      [
        'a shorter helpfulness row, mixed arithmetically',
        with_({ helpfulLogits: new Float32Array(3), policy: { ...policy, rule: 'arithmetic' } }),
      ],
      ['an empty helpfulness row', with_({ helpfulLogits: new Float32Array(0) })],
      ['a NaN proposal', with_({ proposal: NaN })],
      ['a proposal below 0', with_({ proposal: -0.1 })],
      ['a missing proposal', with_({ proposal: undefined })],
      ['a proposal lost in JSON', with_({ proposal: null })],
      ['no policy', with_({ policy: undefined })],
      ['a null policy', with_({ policy: null })],
      ['an empty policy', with_({ policy: {} })],
      ...Object.entries({
        floor: [NaN, -0.1, 1.1, undefined, null, '0'],
        ceiling: [NaN, -0.1, 1.1, undefined, null],
        opening: [
          undefined,
          null,
          { tokens: NaN, floor: 0.5 },
          { tokens: -1, floor: 0.5 },
          { tokens: 1.5, floor: 0.5 },
          { tokens: 1, floor: NaN },
          { tokens: 1, floor: 2 },
          { tokens: 1, floor: null },
          { tokens: null, floor: 1 },
        ],
        rule: [undefined, 'harmonic'],
        budget: [NaN, -1, Infinity, undefined],
        earned: [
          undefined,
          1,
          'no',
          [],
          {},
          { start: 1 },
          { rate: 1 },
          { start: NaN, rate: 1 },
          { start: 1, rate: NaN },
          { start: -1, rate: 1 },
          { start: 1, rate: -0.1 },
          { start: Infinity, rate: 1 },
          { start: 1, rate: Infinity },
          { start: null, rate: 1 },
          { start: 1, rate: '1' },
        ],
      }).flatMap(([key, values]) =>
        values.map((value): [string, GateStepInput] => [
          `${key} ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`,
          with_({ policy: { ...policy, [key]: value } }),
        ]),
      ),
    ];

    test.each(cases)('%s leaves only the safety expert', (_, broken) => {
      for (let seed = 0; seed < 12; seed++) {
        const sampling = { ...input.sampling, key: seedKey(seed), temperature: [0, 0.9, 1][seed % 3]! };
        const alone = gateStep({ ...input, helpfulLogits: input.safetyLogits, sampling, state: startGate(3, 0.5) });
        const step = gateStep({ ...broken, sampling, state: startGate(3, 0.5) });
        expect(step.weight).toBe(1);
        expect(step).toMatchObject({ token: alone.token, spent: 0.5 });
        expectNumber(step.logprobSafety, alone.logprobSafety, 6);
        expect(step.logprob).toBeCloseTo(alone.logprob, 12);
      }
    });

    test('experts without a token in common leave only the safety expert', () => {
      const [safetyLogits, helpfulLogits] = [Float32Array.of(0, -Infinity), Float32Array.of(-Infinity, 0)];
      expect(gateStep({ ...input, safetyLogits, helpfulLogits })).toMatchObject({ token: 0, weight: 1, spent: 0 });
    });

    test('a bias that bans every token of the mixture, but not of the safety expert, leaves only the safety expert', () => {
      const helpfulLogits = Float32Array.of(0, 0, -Infinity, -Infinity);
      const bias = new Map([0, 1].map((id) => [id, -Infinity]));
      const step = gateStep({ ...input, helpfulLogits, sampling: { ...input.sampling, bias } });
      expect(step.weight).toBe(1);
      expect(step.token).toBeGreaterThan(1);
    });

    test('a bias or a mask that leaves the mixture no token leaves only the safety expert, unbiased', () => {
      const every = new Map([0, 1, 2, 3].map((id) => [id, -Infinity]));
      const helpfulLogits = Float32Array.of(0, 3, -Infinity, -Infinity);
      for (const temperature of [0, 1]) {
        const { bias: _, ...sampling } = { ...input.sampling, temperature, bias: every };
        const alone = gateStep({ ...input, helpfulLogits: null, sampling });
        const { logprobHelpful: _helpful, ...closed } = gateStep({ ...input, sampling: { ...sampling, bias: every } });
        const { logprobHelpful: _failed, ...expected } = alone;
        expectStep(closed, expected);
        const mask = new Set([0, 1]);
        const masked = gateStep({ ...input, helpfulLogits, sampling: { ...sampling, mask } });
        expectStep(masked, gateStep({ ...input, helpfulLogits: null, sampling: { ...sampling, mask } }));
        expect(masked.token).toBeGreaterThan(1);
      }
    });

    const throws: [string, GateErrorCode, Record<string, unknown>][] = [
      ['no safety row', 'safety_row_unusable', { safetyLogits: null }],
      ['a NaN in the safety row', 'safety_row_unusable', { safetyLogits: Float32Array.of(0, NaN, 0, 0) }],
      ['a +Infinity in the safety row', 'safety_row_unusable', { safetyLogits: Float32Array.of(0, Infinity, 0, 0) }],
      [
        'a safety row with every token masked',
        'safety_row_unusable',
        { safetyLogits: new Float32Array(4).fill(-Infinity) },
      ],
      ['an empty safety row', 'safety_row_unusable', { safetyLogits: new Float32Array(0) }],
      [
        'a mask of every token',
        'safety_row_unusable',
        { sampling: { ...input.sampling, mask: new Set([0, 1, 2, 3]) } },
      ],
      [
        'a mask of every token that the safety expert has',
        'safety_row_unusable',
        {
          safetyLogits: Float32Array.of(1, -Infinity, 2, -Infinity),
          sampling: { ...input.sampling, mask: new Set([0, 2]) },
        },
      ],
      [
        'a mask of every token, greedily',
        'safety_row_unusable',
        { sampling: { ...input.sampling, temperature: 0, mask: new Set([0, 1, 2, 3]) } },
      ],
      ...[NaN, -1, Infinity].map((temperature): [string, GateErrorCode, Record<string, unknown>] => [
        `temperature ${temperature}`,
        'sampling_invalid',
        { sampling: { ...input.sampling, temperature } },
      ]),
      ['a NaN top-p', 'sampling_invalid', { sampling: { ...input.sampling, topP: NaN } }],
      ...[NaN, -1, 1.5, null].map((topK): [string, GateErrorCode, Record<string, unknown>] => [
        `a top-k of ${topK}`,
        'sampling_invalid',
        { sampling: { ...input.sampling, topK } },
      ]),
      ...[NaN, -0.1, 1.1, null].map((minP): [string, GateErrorCode, Record<string, unknown>] => [
        `a min-p of ${minP}`,
        'sampling_invalid',
        { sampling: { ...input.sampling, minP } },
      ]),
      ...[0, -1, NaN, Infinity].map((factor): [string, GateErrorCode, Record<string, unknown>] => [
        `a scale of ${factor}`,
        'sampling_invalid',
        { sampling: { ...input.sampling, scale: new Map([[0, factor]]) } },
      ]),
      ['allowed tokens as a list', 'sampling_invalid', { sampling: { ...input.sampling, allowed: [15] } }],
      ['no allowed token', 'safety_row_unusable', { sampling: { ...input.sampling, allowed: new Uint32Array(1) } }],
      ['a report of NaN tokens', 'sampling_invalid', { report: { topLogprobs: NaN, experts: false } }],
      ['a top-p above 1', 'sampling_invalid', { sampling: { ...input.sampling, topP: 1.5 } }],
      ...[
        undefined,
        null,
        7,
        'key',
        [1, 2, 3],
        [1, 2, 3, 4, 5],
        [1, 2, 3, NaN],
        [1, 2, 3, 0.5],
        [1, 2, 3, -1],
        [2 ** 32, 2, 3, 4],
        ['1', 2, 3, 4],
        [1, 2, null, 4],
      ].map((key): [string, GateErrorCode, Record<string, unknown>] => [
        `the key ${JSON.stringify(key)}`,
        'sampling_invalid',
        { sampling: { ...input.sampling, key } },
      ]),
      ['a seed in place of a key', 'sampling_invalid', { sampling: { temperature: 1, topP: 1, seed: 1 } }],
      ['a mask of NaN', 'sampling_invalid', { sampling: { ...input.sampling, mask: new Set([NaN]) } }],
      ['a mask that is a list', 'sampling_invalid', { sampling: { ...input.sampling, mask: [1] } }],
      [
        'a mask that can be read only once',
        'sampling_invalid',
        { sampling: { ...input.sampling, mask: new Set([1]).values() } },
      ],
      ['a mask lost in JSON', 'sampling_invalid', { sampling: { ...input.sampling, mask: {} } }],
      ['a NaN bias', 'sampling_invalid', { sampling: { ...input.sampling, bias: new Map([[0, NaN]]) } }],
      ['an infinite bias', 'sampling_invalid', { sampling: { ...input.sampling, bias: new Map([[0, Infinity]]) } }],
      ['a NaN position', 'state_invalid', { state: { position: NaN, spent: 0 } }],
      ['a negative position', 'state_invalid', { state: { position: -1, spent: 0 } }],
      ['a NaN spending', 'state_invalid', { state: { position: 0, spent: NaN } }],
      ['a spending lost in JSON', 'state_invalid', { state: { position: 0, spent: null } }],
    ];

    test.each(throws)('%s draws nothing', (_, code, changes) => {
      let error: unknown;
      try {
        gateStep(with_(changes));
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(GateError);
      expect(error).toMatchObject({ code });
    });

    test('a gate cannot start with a position or spending that is not a number', () => {
      expect(() => startGate(0, NaN)).toThrow(GateError);
      expect(() => startGate(untyped('3'))).toThrow(GateError);
    });
  });
});
