/**
 * The gate once more, as slow and plain as it can be: probabilities instead of logarithms, plain
 * arrays, the formulas of README.md one after another, lambda by halving an interval. It shares
 * only types with the gate. It overflows in cases in which the gate must not, and is right in all
 * others.
 */
import type { Rule } from '#shared/line/line.ts';
import type { GatePolicy, GateState, SamplingParams } from '../gate-types.ts';

const sum = (xs: number[]) => xs.reduce((a, b) => a + b, 0);
const normalize = (xs: number[]) => xs.map((x) => x / sum(xs));

export const softmax = (logits: ArrayLike<number>): number[] => normalize(Array.from(logits, Math.exp));

export function mix(ps: number[], ph: number[], w: number, rule: Rule): number[] {
  if (w === 1) return ps;
  if (w === 0) return ph;
  if (rule === 'arithmetic') return ps.map((s, i) => w * s + (1 - w) * ph[i]!);
  return normalize(ps.map((s, i) => s ** w * ph[i]! ** (1 - w)));
}

function nucleus(p: number[], topP: number): number[] {
  const order = p.map((_, i) => i).sort((a, b) => p[b]! - p[a]! || a - b);
  const kept = new Set<number>();
  for (const i of order) {
    if (kept.size > 0 && sum([...kept].map((k) => p[k]!)) >= topP) break;
    kept.add(i);
  }
  return normalize(p.map((x, i) => (kept.has(i) ? x : 0)));
}

/** The k largest. Among equals, the first ones. */
export function top(p: number[], k: number): number[] {
  const order = p.map((_, i) => i).sort((a, b) => p[b]! - p[a]! || a - b);
  return normalize(p.map((x, i) => (order.indexOf(i) < k ? x : 0)));
}

function minimum(p: number[], share: number): number[] {
  const most = Math.max(...p);
  return normalize(p.map((x) => (x >= share * most ? x : 0)));
}

type Shape = Omit<SamplingParams, 'key'>;

export function shape(p: number[], shape: Shape): number[] {
  const { temperature, topP, topK = 0, minP = 0, mask, allowed, scale, bias } = shape;
  const bit = (i: number) => (allowed![Math.floor(i / 32)] ?? 0).toString(2).padStart(32, '0')[31 - (i % 32)];
  const open = p.map((x, i) => (mask?.has(i) || (allowed && bit(i) !== '1') ? 0 : x));
  const wished = open.map((x, i) => x ** (scale?.get(i) ?? 1) * Math.exp(bias?.get(i) ?? 0));
  const heated = normalize(wished.map((x) => x ** (1 / temperature)));
  const fewest = topK === 0 ? heated : top(heated, topK);
  const kept = topP === 1 ? fewest : nucleus(fewest, topP);
  return minP === 0 ? kept : minimum(kept, minP);
}

export function cap(p: number[], ps: number[], nats: number | null): number[] {
  if (nats === null) return p;
  // Beyond this, no cap has any effect in double precision, and infinity times a masked 0 would be
  // NaN.
  const c = Math.exp(Math.min(nats, 700));
  const at = (lambda: number) => p.map((x, i) => Math.min(lambda * x, c * ps[i]!));
  const full = p.map((x, i) => (x > 0 ? c * ps[i]! : 0));
  if (sum(full) < 1) {
    const others = ps.map((s, i) => (p[i]! > 0 ? 0 : s));
    // If p~ covers all of p_s~, only rounding is left to share out.
    return sum(others) === 0 ? full : full.map((x, i) => x + ((1 - sum(full)) * others[i]!) / sum(others));
  }
  let [low, high] = [0, 1];
  while (sum(at(high)) < 1 && high < 1e200) high *= 2;
  for (let i = 0; i < 200; i++) {
    const middle = (low + high) / 2;
    if (sum(at(middle)) < 1) low = middle;
    else high = middle;
  }
  return at(high);
}

const logSum = (xs: number[]) => {
  const max = Math.max(...xs);
  return max === -Infinity ? max : max + Math.log(sum(xs.map((x) => Math.exp(x - max))));
};

/**
 * The same as `cap`, for masses too small for any exponential. Takes log p~ and log p_s~, returns
 * log q, finds log lambda by halving an interval.
 */
export function capInLogs(logP: number[], logPs: number[], nats: number): number[] {
  const most = logPs.map((lp) => Math.min(0, lp + nats));
  const full = most.map((m, i) => (logP[i]! > -Infinity ? m : -Infinity));
  const filled = logSum(full);
  if (filled < 0) {
    const others = logPs.map((lp, i) => (logP[i]! > -Infinity ? -Infinity : lp));
    const rest = Math.min(0, Math.log(-Math.expm1(filled)) - logSum(others));
    return full.map((x, i) => (logP[i]! > -Infinity || others[i] === -Infinity ? x : others[i]! + rest));
  }
  const at = (logLambda: number) => logP.map((lp, i) => Math.min(logLambda + lp, most[i]!));
  let [low, high] = [0, Math.max(...full.map((m, i) => (m > -Infinity ? m - logP[i]! : 0)))];
  for (let i = 0; i < 1100; i++) {
    const middle = low + (high - low) / 2;
    if (logSum(at(middle)) < 0) low = middle;
    else high = middle;
  }
  return at(high);
}

export function weight(g: number, policy: GatePolicy, position: number): number {
  const floor = position < policy.opening.tokens ? Math.max(policy.floor, policy.opening.floor) : policy.floor;
  return Math.max(floor, Math.min(g, policy.ceiling));
}

/** The most that may be spent once the token at this position is drawn. */
export function bound({ budget, earned }: GatePolicy, position: number): number | null {
  if (budget === null && earned === null) return null;
  return Math.min(budget ?? Infinity, earned ? earned.start + earned.rate * (position + 1) : Infinity);
}

type Input = {
  safetyLogits: ArrayLike<number>;
  helpfulLogits: ArrayLike<number>;
  proposal: number;
  policy: GatePolicy;
  sampling: SamplingParams;
  state: GateState;
};

/** p_s~, without the caller's scale and bias. */
export function reference(safetyLogits: ArrayLike<number>, { scale: _scale, bias: _bias, ...rest }: Shape): number[] {
  return shape(softmax(safetyLogits), rest);
}

/** q at a temperature above 0. */
export function gate({ safetyLogits, helpfulLogits, proposal, policy, sampling, state }: Input): number[] {
  const [ps, ph] = [softmax(safetyLogits), softmax(helpfulLogits)];
  const w = weight(proposal, policy, state.position);
  const shaped = shape(mix(ps, ph, w, policy.rule), sampling);
  const most = bound(policy, state.position);
  const left = most === null ? null : Math.max(0, most - state.spent);
  // If the experts have no token in common, the geometric mixture is 0/0. So is a mixture with
  // every token banned. Then the gate is closed.
  const closed = w === 1 || shaped.some(Number.isNaN);
  return cap(closed ? reference(safetyLogits, sampling) : shaped, reference(safetyLogits, sampling), left);
}

/**
 * The likeliest token of p that costs at most `nats`. The safety expert's favourite if p has none.
 */
export function greedy(p: number[], ps: number[], nats: number | null): number {
  const favourite = Math.max(...ps);
  const cost = (i: number) => Math.log(favourite) - Math.log(ps[i]!);
  const affordable = ps.map((_, i) => i).filter((i) => p[i]! > 0 && (nats === null || cost(i) <= nats));
  return affordable.sort((a, b) => p[b]! - p[a]! || a - b)[0] ?? ps.indexOf(favourite);
}

/** KL(a||b) in nats. */
export function kl(a: number[], b: number[]): number {
  return sum(a.map((x, i) => (x === 0 ? 0 : x * Math.log(x / b[i]!))));
}

export function totalVariation(a: number[], b: number[]): number {
  return sum(a.map((x, i) => Math.abs(x - b[i]!))) / 2;
}
