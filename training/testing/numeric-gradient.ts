/** Gradients by central finite differences, as the oracle for the training graphs. */
import { expect } from 'vitest';
import type { Parameters } from '../optim/adamw.ts';

/**
 * Checks `grad.<name>` at a few places of every parameter against the loss itself. Everything is
 * float32: a step of 1e-2 balances truncation against the rounding of a loss near 3.
 */
export async function expectGradients(
  parameters: Parameters,
  run: () => Promise<Record<string, Float32Array>>,
): Promise<void> {
  const analytic = await run();
  for (const [name, { data }] of parameters) {
    for (const j of new Set([0, Math.floor(data.length / 2), data.length - 1])) {
      const before = data[j]!;
      const at = async (value: number) => {
        data[j] = value;
        const { loss } = await run();
        data[j] = before;
        return loss![0]!;
      };
      const numeric = ((await at(before + 1e-2)) - (await at(before - 1e-2))) / 2e-2;
      const tolerance = 2e-3 + 0.03 * Math.abs(numeric);
      expect(Math.abs(analytic[`grad.${name}`]![j]! - numeric), `${name}[${j}]`).toBeLessThan(tolerance);
    }
  }
}
