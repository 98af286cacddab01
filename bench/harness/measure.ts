/**
 * Alternating measurements: every round runs each variant once, in a newly drawn order. We show
 * medians and raw values.
 */
import { createRandom } from '#training/data/random.ts';

export type Variant = { name: string; run: () => Promise<number> };
export type Measured = { name: string; values: number[]; median: number };

/**
 * `run` returns the figure of one round (milliseconds, tokens per second). One unmeasured round
 * warms everything up. The order is random because it matters which variant ran before. If we only
 * reversed the list each round, its first and last variants would run twice in a row every other
 * round, and find their own weights in the cache.
 */
export async function alternate<const T extends readonly Variant[]>(
  variants: T,
  { rounds }: { rounds: number },
): Promise<{ [K in keyof T]: Measured }> {
  const values = new Map(variants.map(({ name }) => [name, [] as number[]]));
  for (const variant of variants) await variant.run();
  const random = createRandom('bench/order');
  for (let round = 0; round < rounds; round++) {
    for (const { name, run } of random.shuffle(variants)) values.get(name)!.push(await run());
  }
  const measured = variants.map(({ name }) => ({ name, values: values.get(name)!, median: median(values.get(name)!) }));
  // map() forgets the length of the tuple.
  return measured as { [K in keyof T]: Measured };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * The median of the per-round ratios. A slow moment of the machine affects both sides of a ratio.
 */
export function medianRatio(a: Measured, b: Measured): number {
  return median(a.values.map((value, i) => value / b.values[i]!));
}

export function printMeasured(measured: readonly Measured[], unit: string): void {
  const width = Math.max(...measured.map(({ name }) => name.length));
  for (const { name, values, median: middle } of measured) {
    const raw = values.map((value) => value.toFixed(2)).join(' ');
    console.log(`  ${name.padEnd(width)}  median ${middle.toFixed(2)} ${unit}   raw ${raw}`);
  }
}
