/**
 * Anyone who can compute an answer's key can search for a key that draws what they want; nobody
 * else can. The line here is the tightest there is (the safety expert alone, with a budget of 0).
 * The answer is one that this line gives once in a million.
 */
import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { type DrawKey, seedKey } from './draw-key.ts';
import { startGate } from './gate-step.ts';
import type { GatePolicy, GateStep } from './gate-types.ts';
import { GATE_VERSIONS, type GateVersion } from './testing/gate-versions.ts';
import { uniformAt } from './uniform-at.ts';

const RARE = 0;
const P = 0.01;
const STEPS = 3;
const policy: GatePolicy = {
  floor: 1,
  ceiling: 1,
  opening: { tokens: 0, floor: 1 },
  rule: 'geometric',
  budget: 0,
  earned: null,
};
const safetyLogits = Float32Array.of(Math.log(P), Math.log(1 - P));

function answer({ gateStep }: GateVersion, key: DrawKey): GateStep[] {
  const steps: GateStep[] = [];
  for (let i = 0; i < STEPS; i++) {
    const state = steps.at(-1)?.state ?? startGate();
    const sampling = { temperature: 1, topP: 1, key };
    steps.push(gateStep({ safetyLogits, helpfulLogits: null, proposal: 0, policy, sampling, state }));
  }
  return steps;
}

/**
 * The draw tries the lowest id first. So it draws the rare token exactly when u is below its
 * probability.
 */
const isRare = (key: DrawKey, position: number) => uniformAt(key, position) < P;
const allRare = (key: DrawKey) => isRare(key, 0) && isRare(key, 1) && isRare(key, 2);

/** A key as a server makes it. Without the secret, nobody can predict it. */
function secretKey(seed: number): DrawKey {
  const digest = createHmac('sha256', 'a secret of the deployment').update(`${seed}`).digest();
  return [digest.readUInt32LE(0), digest.readUInt32LE(4), digest.readUInt32LE(8), digest.readUInt32LE(12)];
}

const chiSquared = (counts: number[], expected: number[]) =>
  counts.reduce((sum, n, i) => sum + (n - expected[i]!) ** 2 / expected[i]!, 0);

test.each(GATE_VERSIONS)(
  'the $name gate: with keys from seeds, an offline search finds the rare answer, and the account shows nothing',
  (gate) => {
    let found = 0;
    while (!allRare(seedKey(found)) && found < 2 ** 22) found++;
    const steps = answer(gate, seedKey(found));
    expect(steps.map((step) => step.token)).toEqual([RARE, RARE, RARE]);
    expect(steps.at(-1)?.spent).toBe(0);
    // The same seed under the server's key gives an ordinary answer.
    expect(answer(gate, secretKey(found)).map((step) => step.token)).not.toContain(RARE);
  },
);

test('with keys from a secret, rare draws come only by chance', () => {
  const seeds = 20_000;
  const counts = [0, 0, 0, 0];
  for (let seed = 0; seed < seeds; seed++) {
    const key = secretKey(seed);
    const first = [0, 1, 2].findIndex((position) => isRare(key, position));
    counts[first === -1 ? STEPS : first]! += 1;
  }
  const expected = [P, P * (1 - P), P * (1 - P) ** 2, (1 - P) ** 3].map((p) => p * seeds);
  // With 3 degrees of freedom, chi-squared exceeds 20 once in 6,000. The keys are fixed, so this
  // passes always or never.
  expect(chiSquared(counts, expected)).toBeLessThan(20);
});

test('with keys from a secret, seeds picked by an offline search draw the rare token no more often than others', () => {
  const [picked, others]: [number[], number[]] = [[], []];
  for (let seed = 0; picked.length < 4000; seed++) {
    const list = isRare(seedKey(seed), 0) ? picked : others;
    if (list.length < 20_000) list.push(seed);
  }
  const rare = (seeds: number[]) => seeds.filter((seed) => isRare(secretKey(seed), 0)).length;
  for (const seeds of [picked, others]) {
    const n = seeds.length;
    // With 1 degree of freedom, chi-squared exceeds 12 once in 1,900.
    expect(chiSquared([rare(seeds), n - rare(seeds)], [P * n, (1 - P) * n])).toBeLessThan(12);
  }
  // Independence: what each list should show if both have the same rate.
  const share = (rare(picked) + rare(others)) / (picked.length + others.length);
  const table = [picked, others].flatMap((seeds) => [rare(seeds), seeds.length - rare(seeds)]);
  const expected = [picked, others].flatMap(({ length }) => [share * length, (1 - share) * length]);
  expect(chiSquared(table, expected)).toBeLessThan(12);
});
