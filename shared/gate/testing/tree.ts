/** Answers so short, over vocabularies so small, that a test can go through all of them. */
import { addSpending } from '../add-spending.ts';
import { seedKey } from '../draw-key.ts';
import type { GateState } from '../gate-types.ts';
import { uniformAt } from '../uniform-at.ts';
import type { Distribution } from './gate-versions.ts';

/** Numbers that depend only on the answer so far. */
export function numbersAt(seed: number, answer: number[]): (i: number) => number {
  const key = seedKey(`${seed}/${answer.join()}`);
  return (i) => uniformAt(key, i);
}

/** Two experts over a few words, and a router. All of them depend on the answer so far. */
export function tree(seed: number, { size = 4 } = {}) {
  const row = (u: (i: number) => number) => {
    const logits = Float32Array.from({ length: size }, (_, i) => (u(i) < 0.1 ? -Infinity : 10 * (u(i) - 0.5)));
    return logits.some(Number.isFinite) ? logits : new Float32Array(size);
  };
  return (answer: number[]) => {
    const u = numbersAt(seed, answer);
    return { safetyLogits: row(u), helpfulLogits: row((i) => u(size + i)), proposal: u(2 * size) };
  };
}

/**
 * An answer or the beginning of one: its probability under the gate and under the reference, and
 * its account.
 */
export type Path = { answer: number[]; q: number; ps: number; spent: number };

/**
 * One step after `answer`. `ps` is the reference to compare q with, if the test computes it
 * separately.
 */
type Step = (answer: number[], state: GateState) => Distribution & { ps?: number[] };

/**
 * Every answer of `length` words that the gate can give. With `prefixes`, every beginning of one
 * too.
 */
export function paths(
  step: Step,
  { length = 4, prefixes = false, from = { answer: [], q: 1, ps: 1, spent: 0 } as Path } = {},
): Path[] {
  const { answer } = from;
  if (answer.length === length) return [from];
  const gated = step(answer, { position: answer.length, spent: from.spent });
  const { logprobs, reference } = gated.q;
  const total = logprobs.reduce((sum, lp) => sum + Math.exp(lp), 0);
  // One assertion per answer would take most of a test's time.
  if (Math.abs(total - 1) > 1e-11) throw new Error(`the step after ${answer} sums to ${total}`);
  const longer = Array.from(logprobs.keys()).flatMap((token) => {
    const [logprob, base] = [logprobs[token]!, reference[token]!];
    if (logprob === -Infinity) return [];
    const next: Path = {
      answer: [...answer, token],
      q: from.q * Math.exp(logprob),
      ps: from.ps * (gated.ps?.[token] ?? Math.exp(base)),
      spent: addSpending(from.spent, { spends: logprob - base, bound: gated.bound }),
    };
    return paths(step, { length, prefixes, from: next });
  });
  return prefixes && answer.length > 0 ? [from, ...longer] : longer;
}
