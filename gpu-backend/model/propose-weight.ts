/**
 * The logits router: how much of the safety expert the next token needs, judging by both experts'
 * view of the text so far. A small network on the last (final-norm) hidden states:
 *
 *     g = sigmoid(out . silu(H [h_s; h_h] + b) + c),    H [m, 2d],  out, b [m]
 *
 * The result is a proposal: the gate keeps it within the policy's floor and ceiling.
 */
import type { RouterEnd } from '#shared/protocol/expert-messages.ts';
import type { ExpertRole } from './manifest.ts';
import type { LogitsRouter } from './router.ts';

/**
 * @param safetyHidden h_s [d], from the safety expert's row
 * @param helpfulHidden h_h [d], from the helpfulness expert's row at the same token
 * @returns g, 0..1; NaN if a hidden state contains a NaN, which closes the gate
 */
export function proposeWeight(
  { width, hiddenWeight, hiddenBias, outWeight, outBias }: LogitsRouter,
  safetyHidden: Float32Array,
  helpfulHidden: Float32Array,
): number {
  const d = safetyHidden.length;
  let logit = outBias;
  for (let unit = 0; unit < width; unit++) {
    const row = unit * 2 * d;
    let x = hiddenBias[unit]!;
    for (let i = 0; i < d; i++) {
      x += hiddenWeight[row + i]! * safetyHidden[i]! + hiddenWeight[row + d + i]! * helpfulHidden[i]!;
    }
    logit += outWeight[unit]! * (x * sigmoid(x));
  }
  return sigmoid(logit);
}

/** Exact at both ends: exp overflows to infinity, and 1 / infinity is 0. */
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/**
 * One expert's half of the first layer, `H_s h_s` or `H_h h_h`: [m]. Whoever has both halves and
 * the router's end knows the proposal, up to rounding, without the hidden states.
 */
export function halfProposal(
  { width, hiddenWeight }: LogitsRouter,
  role: ExpertRole,
  hidden: Float32Array,
): Float64Array {
  const d = hidden.length;
  const offset = role === 'safety' ? 0 : d;
  return Float64Array.from({ length: width }, (_, unit) => {
    const row = unit * 2 * d + offset;
    let x = 0;
    for (let i = 0; i < d; i++) x += hiddenWeight[row + i]! * hidden[i]!;
    return x;
  });
}

/** What is left to do once both halves are there. */
export function routerEnd({ hiddenBias, outWeight, outBias }: LogitsRouter): RouterEnd {
  return { bias: [...hiddenBias], out: [...outWeight], c: outBias };
}
