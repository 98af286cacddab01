import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type RopeScaling, ropeFrequencies } from './rope.ts';
import { slowFrequencies } from './testing/slow-decoder.ts';

/**
 * `ROPE_INIT_FUNCTIONS['llama3']` of Transformers 5.0.0 with Llama 3.2 1B's numbers, in float32.
 */
const LLAMA_3_2_1B = [
  1.0, 0.663601279, 0.440366626, 0.292227834, 0.193922758, 0.128687382, 0.0853971019, 0.0566696189, 0.0376060307,
  0.0249554086, 0.0165604409, 0.0109895291, 0.00729266508, 0.00483942125, 0.00321144611, 0.00129054801, 0.000429556705,
  9.70828623e-5, 1.94616387e-5, 1.29147675e-5, 8.57025589e-6, 5.68723226e-6, 3.77405445e-6, 2.50446715e-6,
  1.66196742e-6, 1.10288363e-6, 7.31874934e-7, 4.85673127e-7, 3.22293289e-7, 2.1387423e-7, 1.41927202e-7, 9.41830649e-8,
];

const llama3 = (factor: number): RopeScaling => ({
  rope_type: 'llama3',
  factor,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
});

test('llama3 gives the frequencies that Transformers gives Llama 3.2 1B', () => {
  const found = ropeFrequencies({ rope_theta: 500_000, rope_scaling: llama3(32) }, 64);
  expect(found).toHaveLength(LLAMA_3_2_1B.length);
  // The reference is float32. Where the blend cancels, it keeps five of its seven digits.
  for (const [i, wanted] of LLAMA_3_2_1B.entries()) expect(Math.abs(found[i]! / wanted - 1)).toBeLessThan(1e-5);
});

describe('frequencies equal the formula in terms of wave lengths', () => {
  const theta = fc.double({ min: 100, max: 2e6, noNaN: true });
  const half = fc.integer({ min: 1, max: 64 });
  const close = (rope: Parameters<typeof ropeFrequencies>[0], headDim: number) => {
    const wanted = slowFrequencies(rope, headDim);
    for (const [i, found] of ropeFrequencies(rope, headDim).entries()) expect(found / wanted[i]!).toBeCloseTo(1, 9);
  };

  test('plain', () => {
    fc.assert(fc.property(theta, half, (rope_theta, n) => close({ rope_theta }, 2 * n)));
  });

  test('linear', () => {
    const factor = fc.double({ min: 0.5, max: 64, noNaN: true });
    fc.assert(
      fc.property(theta, half, factor, (rope_theta, n, by) =>
        close({ rope_theta, rope_scaling: { rope_type: 'linear', factor: by } }, 2 * n),
      ),
    );
  });

  test('llama3', () => {
    const parameters = fc.record({
      rope_type: fc.constant('llama3' as const),
      factor: fc.double({ min: 1, max: 64, noNaN: true }),
      low_freq_factor: fc.double({ min: 0.5, max: 2, noNaN: true }),
      high_freq_factor: fc.double({ min: 2.5, max: 16, noNaN: true }),
      original_max_position_embeddings: fc.integer({ min: 16, max: 16_384 }),
    });
    fc.assert(
      fc.property(theta, half, parameters, (rope_theta, n, rope_scaling) => close({ rope_theta, rope_scaling }, 2 * n)),
    );
  });
});
