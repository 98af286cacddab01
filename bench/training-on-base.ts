/**
 * Training on a given base: DPO steps of an expert on SmolLM2-135M, from its bundle, in one session
 * for all buckets, as the stages train, and with a session for each bucket. Shows the steps' share
 * of the GEMM peak of the same run, what a further bucket costs in memory, and the most memory that
 * the process takes. Each of the two has a process of its own, so that the memory is its own.
 *
 * Written down before measuring (a prototype had a session for each bucket, and took 2.6 s a step
 * of 2 x 256, 4.0 GB, and 0.9 to 1.3 GB for a further bucket). One session: the step 0.65 to 0.8 of
 * the peak, a further bucket less than 0.1 GB, the peak 2.0 to 2.5 GB, and short rows more tokens a
 * second than long ones, since attention grows with their square. A session for each: the same
 * share of the peak within 0.05, and 0.6 to 1.3 GB for a further bucket.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { importModel } from '#gpu-backend/import/import-model.ts';
import { smolLm2Gguf } from '../test/smollm2-gguf.ts';
import { canMeasureMemory } from './harness/process-memory.ts';
import type { TrainingBucket } from './training-buckets.ts';
import type { OnBaseFigures, OnBaseJob } from './training-on-base-job.ts';
import { onBaseReport } from './training-on-base-report.ts';

const JOB = path.join(import.meta.dirname, 'training-on-base-job.ts');
/** With a session for each, a bucket takes about a gigabyte. Three show what one more costs. */
const BUCKETS_OF_EACH = 3;

/** Returns the figures by name; none, with a warning, where the model cannot be had. */
export async function benchTrainingOnBase({
  rounds,
  threads,
  buckets,
}: {
  rounds: number;
  threads: number;
  buckets: readonly TrainingBucket[];
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
    const common = { bundle, threads, rounds };
    const { lines, summary } = onBaseReport({
      one: await inOwnProcess({ ...common, sessions: 'one', buckets: [...buckets] }),
      each: await inOwnProcess({ ...common, sessions: 'each', buckets: buckets.slice(0, BUCKETS_OF_EACH) }),
    });
    for (const line of lines) console.log(line);
    return summary;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const NO_EXPERTS = { safety: {}, helpfulness: {} };

async function inOwnProcess(job: OnBaseJob): Promise<OnBaseFigures> {
  process.stderr.write(
    `training on a base, sessions: ${job.sessions}: ${job.buckets.length} buckets, ${job.rounds} rounds ...\n`,
  );
  const child = spawn(process.execPath, [...process.execArgv, JOB, JSON.stringify(job)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [printed, [code, signal]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  if (code !== 0) throw new Error(`training on a base: the measuring process ended with ${signal ?? code}`);
  // The cast is safe: our own process wrote this line just before it ended.
  return JSON.parse(printed) as OnBaseFigures;
}
