import type { Manifest } from '../model/manifest.ts';
import type { BackendConfig } from './config.ts';

/**
 * Whether answers that repeat their prompt are read ahead. A run of several tokens sums in another
 * order than runs of one token, so predictions differ in their last digits. In f32 and in exact
 * arithmetic, next to no answer changes by that. The arithmetic `fast` rounds activations to 8
 * bits, and a last digit decides which way. Log-probabilities then differ by whole nats, and the
 * same request may get another answer (docs/benchmarks.md). `mixed` writes answers the same way. So
 * in both only the operator can switch it on.
 */
export function chooseSpeculation(
  wanted: BackendConfig['speculation'],
  { weights }: Pick<Manifest, 'weights'>,
): boolean {
  const isExact = weights === undefined || weights.arithmetic === 'exact';
  return wanted === 'auto' ? isExact : wanted === 'on';
}
