/**
 * SafeDecoding (Xu et al., arXiv 2402.08983). A safety expert steers only the first tokens of an
 * answer; from then on the original model answers alone. For the first `tokens`:
 *
 *     candidates   the smallest top list of both that has `common` tokens in common
 *     p(x) ~ max(p_o(x) + alpha * (p_s(x) - p_o(x)), 1e-8)     over the candidates
 *
 * As in the published code, the candidates' probabilities are those at temperature 1, and only the
 * nucleus is cut from them. The original model is the row `helpfulness`: the bundle must hold the
 * base there.
 */
import type { Decoder } from './decoder.ts';
import { shaped } from './shaped.ts';

/** The paper's settings. */
export const SAFE_DECODING = { tokens: 2, alpha: 3, common: 5 } as const;

const LEAST = 1e-8;

export function safeDecoding({ tokens, alpha, common } = SAFE_DECODING): Decoder {
  return {
    readsPrompt: false,
    start({ sampling }) {
      const { topP, mask } = sampling;
      let position = 0;
      return {
        next({ safety, helpfulness: original }) {
          if (position++ >= tokens) return { logprobs: shaped(original, sampling), weight: 0, spent: null };
          const plain = { temperature: 1, topP: 1, ...(mask && { mask }) };
          const [expert, own] = [shaped(safety, plain), shaped(original, plain)];
          const row = new Float64Array(own.length).fill(-Infinity);
          for (const token of candidates(expert, own, common)) {
            const [s, o] = [Math.exp(expert[token]!), Math.exp(own[token]!)];
            row[token] = Math.log(Math.max(o + alpha * (s - o), LEAST));
          }
          return { logprobs: shaped(normalised(row), { temperature: 1, topP }), weight: 1, spent: null };
        },
      };
    },
  };
}

/** Ids in both rows' top lists, whose common length is the smallest that gives `count` of them. */
function candidates(first: Float64Array, second: Float64Array, count: number): number[] {
  const order = (row: Float64Array) => {
    const ids = Array.from(row.keys()).filter((id) => row[id] !== -Infinity);
    return ids.sort((a, b) => row[b]! - row[a]! || a - b);
  };
  const [a, b] = [order(first), order(second)];
  const [inA, inB] = [new Set<number>(), new Set<number>()];
  const both: number[] = [];
  for (let rank = 0; rank < Math.max(a.length, b.length); rank++) {
    if (both.length >= count && rank >= count) break;
    // -1 is in neither list: a list whose end is reached adds nothing.
    const [x, y] = [a[rank] ?? -1, b[rank] ?? -1];
    if (x >= 0) inA.add(x);
    if (y >= 0) inB.add(y);
    if (inB.has(x)) both.push(x);
    if (x !== y && inA.has(y)) both.push(y);
  }
  if (both.length === 0) throw new Error('the two experts have no token in common');
  return both;
}

function normalised(row: Float64Array): Float64Array {
  let total = 0;
  for (const value of row) total += Math.exp(value);
  return row.map((value) => value - Math.log(total));
}
