/** What the bench of training on a base says: medians, raw values, and a summary by name. */
import { median } from './harness/measure.ts';
import { bucketName } from './training-buckets.ts';
import type { OnBaseFigures } from './training-on-base-job.ts';

const NAME = 'training on SmolLM2-135M';
const VARIANTS = { one: 'one session for all buckets', each: 'a session for each bucket' } as const;
type Variant = keyof typeof VARIANTS;

const GIGA = 1e9;
const giga = (value: number) => (value / GIGA).toFixed(2);
const raw = (values: readonly number[], digits = 2) => values.map((value) => value.toFixed(digits)).join(' ');

/** The lines to print, and the figures by name: shares of the peak, tokens a second, gigabytes. */
export function onBaseReport(found: Record<Variant, OnBaseFigures>): {
  lines: string[];
  summary: Record<string, number>;
} {
  const parts = (['one', 'each'] as const).map((variant) => variantReport(variant, found[variant]));
  const shares = parts.map(({ shareOf }) => shareOf);
  const ratios = [...shares[1]!].map(([bucket, share]): [string, number] => [
    `${NAME}: ${bucket}, share of the peak, one session / one for each`,
    shares[0]!.get(bucket)! / share,
  ]);
  return {
    lines: [`\n${NAME}, DPO with LoRA on down_proj (medians; raw values by round)`, ...parts.flatMap((p) => p.lines)],
    summary: { ...parts[0]!.summary, ...parts[1]!.summary, ...Object.fromEntries(ratios) },
  };
}

function variantReport(variant: Variant, { resident, peak, buckets, scoring, peaks }: OnBaseFigures) {
  const name = `${NAME}, ${VARIANTS[variant]}`;
  const lines = [`  ${VARIANTS[variant]}`];
  const summary: Record<string, number> = {};
  const shareOf = new Map<string, number>();
  for (const product of peaks) {
    const rates = product.flopsPerSecond.map((rate) => rate / GIGA);
    lines.push(`    ${product.name}  median ${median(rates).toFixed(0)} GFLOP/s   raw ${raw(rates, 0)}`);
  }
  // The faster product is the peak: the most that this machine has shown.
  const best = peaks.reduce((a, b) => (median(b.flopsPerSecond) > median(a.flopsPerSecond) ? b : a));
  for (const [i, { bucket, flops, grew, seconds }] of buckets.entries()) {
    const tokens = (bucket.rows * bucket.length) / median(seconds);
    const shares = seconds.map((time, round) => flops / time / best.flopsPerSecond[round]!);
    const of = bucketName(bucket);
    lines.push(
      `    ${of}: ${giga(flops)} GFLOP, median ${median(seconds).toFixed(3)} s   raw ${raw(seconds)}`,
      `      ${tokens.toFixed(0)} tokens/s`,
      `      ${median(shares).toFixed(3)} of the peak   raw ${raw(shares)}`,
    );
    if (i > 0) lines.push(`      the process grew by ${giga(grew)} GB`);
    shareOf.set(of, median(shares));
    summary[`${name}: ${of} (tokens/s)`] = tokens;
    summary[`${name}: ${of} / GEMM peak`] = median(shares);
  }
  if (scoring !== null) {
    lines.push(`    scoring the first: median ${median(scoring).toFixed(3)} s   raw ${raw(scoring)}`);
  }
  const further = buckets.slice(1).map(({ grew }) => grew);
  lines.push(
    `    a further bucket: median ${giga(median(further))} GB   raw ${raw(further.map((bytes) => bytes / GIGA))}`,
    `    resident ${giga(resident.session)} GB with its first session, ${giga(resident.step)} GB after a step`,
    `    peak memory of the process ${giga(peak)} GB`,
  );
  summary[`${name}: a further bucket (GB)`] = median(further) / GIGA;
  summary[`${name}: the most a further bucket takes (GB)`] = Math.max(...further) / GIGA;
  summary[`${name}: peak memory (GB)`] = peak / GIGA;
  return { lines, summary, shareOf };
}
