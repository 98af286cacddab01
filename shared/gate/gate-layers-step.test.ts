import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LOG_ZERO } from './add-spending.ts';
import { seedKey } from './draw-key.ts';
import { GateError } from './gate-error.ts';
import type { LayersStepInput } from './gate-layers-step.ts';
import { startGate } from './gate-step.ts';
import * as arbitrary from './testing/arbitraries.ts';
import { EXAMPLE_STEP } from './testing/example-step.ts';
import { GATE_VERSIONS } from './testing/gate-versions.ts';
import { OPEN_POLICY } from './testing/open-policy.ts';

describe.each(GATE_VERSIONS)('the $name gate', ({ gateStep, gateLayersStep, expectNumber }) => {
  const input: LayersStepInput = {
    ...EXAMPLE_STEP,
    layersLogits: Float32Array.of(0, 3, -1, 1),
    alpha: 0.65,
  };
  const { policy } = input;

  test('a step reports what it drew and spent, and that the helpfulness expert was not asked', () => {
    const step = gateLayersStep(input);
    expect(step).toMatchObject({ weight: 0.65, floor: 0.6, logprobHelpful: LOG_ZERO });
    expect(step.state).toEqual({ position: 1, spent: step.spent });
    expect(JSON.parse(JSON.stringify(step))).toEqual(step);
  });

  test('draws what the layers row alone would draw when there is no budget', () => {
    fc.assert(
      fc.property(
        arbitrary.rows(),
        arbitrary.sampling,
        fc.double({ min: 0, max: 0.99, noNaN: true }),
        fc.boolean(),
        ({ safetyLogits, helpfulLogits: layersLogits }, shape, alpha, greedy) => {
          const sampling = greedy ? { ...shape, temperature: 0 } : shape;
          const rest = { policy: OPEN_POLICY, sampling, state: startGate() };
          const step = gateLayersStep({ safetyLogits, layersLogits, alpha, ...rest });
          // At weight 0 the mixture is exactly the helpfulness expert, so this puts the row through
          // the same gate.
          const alone = gateStep({ safetyLogits, helpfulLogits: layersLogits, proposal: 0, ...rest });
          expect(step).toEqual({ ...alone, weight: alpha, logprobHelpful: LOG_ZERO });
        },
      ),
    );
  });

  describe('a closed gate', () => {
    const cases: [string, Partial<Record<keyof LayersStepInput, unknown>>][] = [
      ['no layers row', { layersLogits: null }],
      ['a layers row left out', { layersLogits: undefined }],
      ['a NaN in the layers row', { layersLogits: Float32Array.of(0, NaN, -1, 1) }],
      ['a +Infinity in the layers row', { layersLogits: Float32Array.of(0, Infinity, -1, 1) }],
      ['a layers row with every token masked', { layersLogits: new Float32Array(4).fill(-Infinity) }],
      ['a shorter layers row', { layersLogits: new Float32Array(3) }],
      ['a longer layers row', { layersLogits: new Float32Array(5) }],
      ['NaN gates', { alpha: NaN }],
      ['gates left out', { alpha: undefined }],
      ['gates that crossed the floor', { alpha: 0.1 }],
      ['gates that crossed the ceiling', { alpha: 0.9 }],
      ['no policy', { policy: undefined }],
      ['a NaN floor', { policy: { ...policy, floor: NaN } }],
    ];
    test.each(cases)('%s leaves only the safety expert', (_, changes) => {
      for (let seed = 0; seed < 12; seed++) {
        const sampling = { ...input.sampling, key: seedKey(seed), temperature: [0, 0.9, 1][seed % 3]! };
        const state = startGate(3, 0.5);
        // Broken input that the types forbid.
        const step = gateLayersStep({ ...input, ...changes, sampling, state } as LayersStepInput);
        const alone = gateLayersStep({ ...input, layersLogits: input.safetyLogits, sampling, state });
        expect(step).toMatchObject({ weight: 1, token: alone.token, spent: 0.5 });
        expectNumber(step.logprobSafety, alone.logprobSafety, 6);
      }
    });

    test.each([
      ['no safety row', null],
      ['a NaN in the safety row', Float32Array.of(0, NaN, 0, 0)],
    ])('%s draws nothing, whatever the layers row is', (_, safetyLogits) => {
      // The types forbid the first of these.
      const broken = { ...input, safetyLogits } as LayersStepInput;
      expect(() => gateLayersStep(broken)).toThrow(GateError);
      expect(() => gateLayersStep(broken)).toThrow(expect.objectContaining({ code: 'safety_row_unusable' }));
    });
  });
});
