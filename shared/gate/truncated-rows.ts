/**
 * The gate on truncated rows: the union U of each expert's k likeliest tokens, with both experts' log-probabilities of
 * every token in U. It is for experts that live in different places, where a whole row per token is too much to send.
 *
 * The gate then works on U alone, each expert conditional on U, and all its laws hold there as they stand. The safety
 * expert of the budget's promise is the truncated one: truncation, like top-p, is part of how both are sampled. What
 * else differs from whole rows is bounded by `truncationBound`, from the mass tau_s, tau_h that each expert has outside
 * U, which need not be sent: it is what the log-probabilities leave of 1.
 */
import { reportable } from './add-spending.ts';
import { GateError } from './gate-error.ts';
import { type GateStepInput, stepOnLogprobs } from './gate-step.ts';
import type { GateStep } from './gate-types.ts';
import { largest, logSoftmax } from './log-softmax.ts';
import { blendLogprobs, type Mixing } from './mix-experts.ts';

export type TruncatedRows = {
  /** Token ids, ascending (the draw goes in their order), [U]. */
  ids: Int32Array;
  /** log p_s of whole rows at these ids, not renormalised, [U]. */
  safetyLogprobs: Float64Array;
  /** log p_h likewise; null is a failed expert. */
  helpfulLogprobs: Float64Array | null;
};

type TruncatedStepInput = Omit<GateStepInput, 'safetyLogits' | 'helpfulLogits'> & { rows: TruncatedRows };

/** `gateStep` on truncated rows. Token ids, in the bias as in the answer, are those of the whole vocabulary. */
export function gateTruncatedStep({ rows, sampling, ...rest }: TruncatedStepInput): GateStep {
  const { ids, safetyLogprobs, helpfulLogprobs } = rows;
  checkRows(rows);
  const bias = new Map([...(sampling.bias ?? [])].map(([id, nats]) => [ids.indexOf(id), nats]));
  const [safety, helpful] = [logSoftmax(safetyLogprobs), helpfulLogprobs && logSoftmax(helpfulLogprobs)];
  const step = stepOnLogprobs({ ...rest, safety, helpful, sampling: { ...sampling, bias } });
  return {
    ...step,
    token: ids[step.token] ?? NaN,
    logprobSafety: reportable(safetyLogprobs[step.token]),
    logprobHelpful: reportable(helpful ? helpfulLogprobs?.[step.token] : undefined),
  };
}

/**
 * How far the truncated p~ and p_s~ can be from those of whole rows, at temperature T > 0, without bias, before top-p
 * (at whose edge a token may fall on either side, so that nothing of this kind is true after it) and before the budget.
 *
 *     tail(tau) = tau^(1/T) * max(1, V - |U|)^max(0, 1 - 1/T)            the most that p^(1/T) can sum to outside U
 *     tau_p     = tau_s^w * tau_h^(1-w)  |  w*tau_s + (1-w)*tau_h         p's mass outside U: Hölder | exactly
 *     x         = tail(tau_p) / (tail(tau_p) + sum_U p^(1/T))             p~'s mass outside U, at most
 *     r         = 0  |  |log(1 - tau_s) - log(1 - tau_h)|                 how unevenly conditioning on U scales p
 *
 *     totalVariation = x + (1 - x) * (1 - exp(-r/T))
 *     nats           = log(1 + tail(tau_s) / sum_U p_s^(1/T))             the most by which log p_s~ grows on U
 *
 * (geometric | arithmetic.) A budget kept against the truncated safety expert is therefore kept against the whole one
 * up to `nats` a token. At T = 1, x is just p's mass outside U and nats is -log(1 - tau_s).
 */
export function truncationBound(
  { ids, safetyLogprobs: safety, helpfulLogprobs }: TruncatedRows,
  { weight, rule, temperature, vocabulary }: Mixing & { temperature: number; vocabulary: number },
): { totalVariation: number; nats: number } {
  const outside = vocabulary - ids.length;
  if (outside === 0) return { totalVariation: 0, nats: 0 };
  const helpful = helpfulLogprobs ?? safety;
  const [tauS, tauH] = [massOutside(safety), massOutside(helpful)];
  const tauP = rule === 'geometric' ? tauS ** weight * tauH ** (1 - weight) : weight * tauS + (1 - weight) * tauH;
  // The tail over what is inside, in logs: at low temperatures both underflow.
  const ratio = (tau: number, inside: Float64Array) => {
    const logTail = Math.log(tau) / temperature + Math.max(0, 1 - 1 / temperature) * Math.log(outside);
    return Math.exp(logTail - logSumHeated(inside, temperature));
  };
  const p = ratio(tauP, blendLogprobs(safety, helpful, { weight, rule }));
  const x = p === Infinity ? 1 : p / (1 + p);
  const mixed = weight > 0 && weight < 1;
  const r = rule === 'arithmetic' && mixed ? Math.abs(Math.log1p(-tauS) - Math.log1p(-tauH)) : 0;
  return {
    totalVariation: x + (1 - x) * -Math.expm1(-r / temperature),
    nats: Math.log1p(ratio(tauS, safety)),
  };
}

/** tau of one expert, at most: a difference of two near-equal sums, so their rounding is added to it. */
function massOutside(logprobs: Float64Array): number {
  const inside = logprobs.reduce((sum, lp) => sum + Math.exp(lp), 0);
  return Math.min(1, Math.max(0, 1 - inside) + logprobs.length * Number.EPSILON);
}

/** log sum exp(lp / T); -Infinity where every token is masked, as the geometric rule can leave it. */
function logSumHeated(logprobs: Float64Array, temperature: number): number {
  const max = largest(logprobs);
  if (max === -Infinity) return -Infinity;
  return max / temperature + Math.log(logprobs.reduce((sum, lp) => sum + Math.exp((lp - max) / temperature), 0));
}

function checkRows({ ids, safetyLogprobs, helpfulLogprobs }: TruncatedRows): void {
  const ascending = ids.every((id, i) => i === 0 || id > (ids[i - 1] ?? NaN));
  const asMany = [safetyLogprobs, helpfulLogprobs ?? safetyLogprobs].every((row) => row.length === ids.length);
  if (ascending && asMany) return;
  throw new GateError('truncated_rows_invalid', 'truncated rows need ascending ids and a log-probability for each');
}
