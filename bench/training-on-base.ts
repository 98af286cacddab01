/**
 * Training on a given base: DPO steps of an expert on SmolLM2-135M, from its bundle, in one
 * session for all shapes. Shows the step's share of the GEMM peak of the same run, what a further
 * shape costs in memory, and the most memory that the process takes.
 *
 * Written down before measuring (a prototype had a session for each shape, and took 2.6 s a
 * step of 2 x 256, 4.0 GB, and 0.9 to 1.3 GB for a further shape): the step 0.65 to 0.8 of the
 * peak, a further shape less than 0.1 GB, the peak 2.0 to 2.5 GB, and short rows more tokens a
 * second than long ones, since attention grows with their square.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { importModel } from '#gpu-backend/import/import-model.ts';
import { smolLm2Gguf } from '../test/smollm2-gguf.ts';
import { median } from './harness/measure.ts';
import { canMeasureMemory } from './harness/process-memory.ts';
import type { OnBaseFigures, OnBaseJob } from './training-on-base-job.ts';

const JOB = path.join(import.meta.dirname, 'training-on-base-job.ts');
/** One pair of long rows first; then shorter rows in batches of about as many tokens, and fewer. */
const BATCHES = [
  { rows: 2, length: 256 },
  { rows: 2, length: 192 },
  { rows: 4, length: 128 },
  { rows: 8, length: 64 },
  { rows: 2, length: 128 },
  { rows: 2, length: 64 },
];
const GIGA = 1e9;

/** Returns the figures by name; none, with a warning, where the model cannot be had. */
export async function benchTrainingOnBase({
  rounds,
  threads,
}: {
  rounds: number;
  threads: number;
}): Promise<Record<string, number>> {
  const found = await smolLm2Gguf();
  if (!canMeasureMemory || 'missing' in found) {
    console.warn(
      `\ntraining on a base: SKIPPED: ${'missing' in found ? found.missing : 'memory is measured on Linux'}`,
    );
    return {};
  }
  const dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-bench-training-'));
  try {
    const bundle = path.join(dir, 'f32');
    await importModel({ source: found.file, out: bundle, id: 'f32', experts: NO_EXPERTS, weights: 'f32' });
    return print(await inOwnProcess({ bundle, threads, rounds, batches: BATCHES }));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const NO_EXPERTS = { safety: {}, helpfulness: {} };

async function inOwnProcess(job: OnBaseJob): Promise<OnBaseFigures> {
  const child = spawn(process.execPath, [...process.execArgv, JOB, JSON.stringify(job)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [printed, [code, signal]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  if (code !== 0) throw new Error(`training on a base: the measuring process ended with ${signal ?? code}`);
  // The cast is safe: our own process wrote this line just before it ended.
  return JSON.parse(printed) as OnBaseFigures;
}

function print({ resident, peak, batches, scoring, peaks }: OnBaseFigures): Record<string, number> {
  const name = 'training on SmolLM2-135M';
  const raw = (values: readonly number[], digits = 2) => values.map((value) => value.toFixed(digits)).join(' ');
  const giga = (bytes: number) => (bytes / GIGA).toFixed(2);
  console.log(`\n${name}, DPO with LoRA on down_proj (medians; raw values by round)`);
  for (const product of peaks) {
    const rates = product.flopsPerSecond.map((rate) => rate / GIGA);
    console.log(`  ${product.name}  median ${median(rates).toFixed(0)} GFLOP/s   raw ${raw(rates, 0)}`);
  }
  const best = peaks.reduce((a, b) => (median(b.flopsPerSecond) > median(a.flopsPerSecond) ? b : a));
  const summary: Record<string, number> = {};
  for (const [i, { batch, flops, grew, seconds }] of batches.entries()) {
    const tokens = batch.rows * batch.length;
    const shares = seconds.map((time, round) => flops / time / best.flopsPerSecond[round]!);
    const of = `${batch.rows} x ${batch.length}`;
    console.log(`  ${of}: ${giga(flops)} GFLOP, median ${median(seconds).toFixed(3)} s   raw ${raw(seconds)}`);
    console.log(`    ${(tokens / median(seconds)).toFixed(0)} tokens/s`);
    console.log(`    ${median(shares).toFixed(3)} of the peak   raw ${raw(shares)}`);
    if (i > 0) console.log(`    the process grew by ${giga(grew)} GB`);
    summary[`${name}: ${of} (tokens/s)`] = tokens / median(seconds);
    summary[`${name}: ${of} / GEMM peak`] = median(shares);
  }
  console.log(`  scoring the first: median ${median(scoring).toFixed(3)} s   raw ${raw(scoring)}`);
  console.log(`  resident ${giga(resident.session)} GB with the session, ${giga(resident.step)} GB after a step`);
  console.log(`  peak memory of the process ${giga(peak)} GB`);
  summary[`${name}: the most a further shape takes (GB)`] =
    Math.max(...batches.slice(1).map(({ grew }) => grew)) / GIGA;
  summary[`${name}: peak memory (GB)`] = peak / GIGA;
  return summary;
}
