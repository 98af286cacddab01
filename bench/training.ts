/**
 * Measures how fast a training step runs, compared with bare matrix products in the same run. Also
 * its peak memory, and what a preference step saves by keeping the reference. Three sizes show how
 * all that grows with the number of parameters, and what a 1B and a 7B base would need.
 *
 * We count only the graph's matrix products (count-work.ts). So norms, softmax, rotations, AdamW
 * and the copies out of onnxruntime lower a step's share of the peak. We count tokens without
 * padding, but the products include it. We wrote the expectation below before we measured anything.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import { sftGraph } from '#training/graphs/sft-graph.ts';
import { formatSeconds } from '#training/run/progress.ts';
import { kernelShapes, weightCount } from '#training/stages/base-model.ts';
import { matmulFlops, peakLiveBytes } from './count-work.ts';
import { GPU, powerLaw, STATE_BYTES_A_PARAMETER, trainingNeeds } from './growth.ts';
import { median } from './harness/measure.ts';
import type { TrainingFigures, TrainingJob } from './training-job.ts';
import { LARGE_MODELS, sizeName, type TrainingSize } from './training-sizes.ts';

const EXPECTED = `expected, before measuring:
  share of the GEMM peak   0.70 to 0.85 of it, more in the larger models (the target is at least 0.75)
  peak memory              0.6 to 0.9, 0.9 to 1.2 and 1.2 to 1.6 GB in the default sizes
  reference kept           1.3 to 1.5 times the tokens a second of computing it in every step
  growth                   seconds a token by 0.85 to 1 in the exponent of the parameters, memory by 0.4 to 0.7`;

const JOB = path.join(import.meta.dirname, 'training-job.ts');
/**
 * The batch of a large model's step. We count its operations and bytes as for the measured models.
 */
const LARGE_BATCH = { rows: 8, length: 256, answers: 8 * 256 };

export type TrainingBench = {
  sizes: readonly TrainingSize[];
  rounds: number;
  bundle: string;
  batchTokens: number;
  threads: number;
};

type SizeFigures = { size: TrainingSize; sft: TrainingFigures; dpo: TrainingFigures };

export async function benchTraining({ sizes, ...options }: TrainingBench): Promise<Record<string, number>> {
  console.log(`\ntraining\n${EXPECTED}`);
  const found: SizeFigures[] = [];
  for (const size of sizes) {
    const { rounds, bundle, batchTokens, threads } = options;
    const measure = (kind: TrainingJob['kind']) => inOwnProcess({ kind, size, rounds, bundle, batchTokens, threads });
    const [sft, dpo] = [await measure('sft'), await measure('dpo')];
    found.push({ size, sft, dpo });
  }
  const summary: Record<string, number> = {};
  for (const each of found) Object.assign(summary, printSize(each));
  Object.assign(summary, printGrowth(found));
  printLarge(found.at(-1)!.sft);
  return summary;
}

async function inOwnProcess(job: TrainingJob): Promise<TrainingFigures> {
  const what = `training, ${sizeName(job.size)}, ${job.kind}`;
  process.stderr.write(`${what}: ${job.rounds} rounds ...\n`);
  const startedAt = performance.now();
  const child = spawn(process.execPath, [...process.execArgv, JOB, JSON.stringify(job)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [printed, [code, signal]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  if (code !== 0) throw new Error(`${what}: the measuring process ended with ${signal ?? code}`);
  process.stderr.write(`${what}: done in ${formatSeconds((performance.now() - startedAt) / 1000)}\n`);
  // The cast is safe: our own process wrote this line just before it ended.
  return JSON.parse(printed) as TrainingFigures;
}

const GIGA = 1e9;
const giga = (value: number) => (value / GIGA).toFixed(2);
const raw = (values: readonly number[]) => values.map((value) => value.toFixed(2)).join(' ');

/** The peak is the bare product with the fastest median: the most that this machine has shown. */
function peakOf({ peaks }: TrainingFigures): { name: string; flopsPerSecond: number[] } {
  const middle = ({ flopsPerSecond }: { flopsPerSecond: number[] }) => median(flopsPerSecond);
  return peaks.reduce((best, peak) => (middle(peak) > middle(best) ? peak : best));
}

/**
 * Computes the rates of a job's steps by round: tokens and operations per second, and the share of
 * the peak.
 */
function ratesOf(job: TrainingFigures) {
  const { flopsPerSecond: peak } = peakOf(job);
  return job.steps.map(({ name, seconds }, i) => {
    // The second kind of step also computes the reference.
    const flops = job.flops + (i === 0 ? 0 : job.referenceFlops);
    const achieved = seconds.map((time) => flops / time);
    return {
      name,
      seconds,
      tokensPerSecond: seconds.map((time) => job.tokens / time),
      achieved,
      shares: achieved.map((rate, round) => rate / peak[round]!),
    };
  });
}

function printSize({ size, sft, dpo }: SizeFigures): Record<string, number> {
  const name = sizeName(size);
  const summary: Record<string, number> = {};
  console.log(`\ntraining ${name}, ${(sft.parameters / 1e6).toFixed(1)}M parameters (medians; raw values by round)`);
  for (const [kind, job] of Object.entries({ sft, dpo })) {
    const { rows, length } = job.batch;
    const live = `${giga(job.liveBytes)} GB of values alive at once`;
    console.log(`  ${kind}: ${rows} rows of ${length}, ${job.tokens} tokens; ${giga(job.flops)} GFLOP a step, ${live}`);
    for (const peak of job.peaks) {
      const rates = peak.flopsPerSecond.map((rate) => rate / GIGA);
      console.log(`    ${peak.name}  median ${median(rates).toFixed(2)} GFLOP/s   raw ${raw(rates)}`);
    }
    for (const { name: step, seconds, tokensPerSecond, achieved, shares } of ratesOf(job)) {
      const rates = achieved.map((rate) => rate / GIGA);
      console.log(`    ${step}  median ${median(seconds).toFixed(3)} s   raw ${raw(seconds)}`);
      console.log(`      ${median(tokensPerSecond).toFixed(0)} tokens/s, ${median(rates).toFixed(2)} GFLOP/s`);
      console.log(`      ${median(shares).toFixed(3)} of the peak   raw ${raw(shares)}`);
      summary[`training ${name}: ${kind}, ${step} / GEMM peak`] = median(shares);
    }
    console.log(`    peak memory of the process ${giga(job.peakRssBytes)} GB`);
    summary[`training ${name}: ${kind}, peak memory (GB)`] = job.peakRssBytes / GIGA;
  }
  const [step] = ratesOf(sft);
  const [kept, computed] = ratesOf(dpo);
  summary[`training ${name}: sft (thousand tokens/s)`] = median(step!.tokensPerSecond) / 1000;
  summary[`training ${name}: dpo, reference kept (thousand tokens/s)`] = median(kept!.tokensPerSecond) / 1000;
  const gains = kept!.tokensPerSecond.map((rate, round) => rate / computed!.tokensPerSecond[round]!);
  summary[`training ${name}: dpo, reference kept / in every step, tokens/s`] = median(gains);
  return summary;
}

function printGrowth(found: readonly SizeFigures[]): Record<string, number> {
  const grown = {
    'sft seconds a token': ({ sft }: SizeFigures) => median(sft.steps[0]!.seconds) / sft.tokens,
    'sft operations a token': ({ sft }: SizeFigures) => sft.flops / sft.tokens,
    'sft peak memory': ({ sft }: SizeFigures) => sft.peakRssBytes,
    'dpo seconds a token': ({ dpo }: SizeFigures) => median(dpo.steps[0]!.seconds) / dpo.tokens,
    'dpo peak memory': ({ dpo }: SizeFigures) => dpo.peakRssBytes,
  };
  console.log(`\ngrowth with the parameters, over ${found.map(({ size }) => sizeName(size)).join(', ')}`);
  const summary: Record<string, number> = {};
  for (const [name, value] of Object.entries(grown)) {
    const { exponent } = powerLaw(found.map((each) => ({ parameters: each.sft.parameters, value: value(each) })));
    console.log(`  ${name}: parameters ^ ${exponent.toFixed(2)}`);
    summary[`training: exponent of ${name}`] = exponent;
  }
  return summary;
}

/**
 * Counts the graphs of `LARGE_MODELS` without running them, and extrapolates with the rates of the
 * largest model that we measured.
 */
function printLarge(measured: TrainingFigures): void {
  const [step] = ratesOf(measured);
  const rate = median(step!.achieved);
  const { rows, length } = LARGE_BATCH;
  const gpu = `${GPU.utilisation * 100} % of an ${GPU.name}'s ${(GPU.flopsPerSecond / 1e12).toFixed(0)} TFLOP/s`;
  console.log(
    `\nextrapolation, not measured: a base trained from scratch in float32, steps of ${rows} rows of ${length} tokens,` +
      `\n  20 tokens a parameter in all, this machine at its ${giga(rate)} GFLOP/s, a GPU at ${gpu}`,
  );
  for (const [name, config] of Object.entries(LARGE_MODELS)) {
    const { parameters, flopsPerToken, liveBytes } = countLarge(config);
    const needs = trainingNeeds({ parameters, flopsPerToken }, { flopsPerSecond: rate });
    const state = STATE_BYTES_A_PARAMETER * parameters;
    console.log(
      `  ${name}: ${giga(parameters)}e9 parameters, ${giga(flopsPerToken)} GFLOP a token (${(flopsPerToken / parameters).toFixed(2)} a parameter)`,
    );
    console.log(
      `    ${(state / GIGA).toFixed(0)} GB of weights and moments, and at the peak ${(liveBytes / GIGA).toFixed(0)} GB of activations, gradients and other values`,
    );
    console.log(
      `    ${(needs.tokens / GIGA).toFixed(0)}e9 tokens, ${needs.flops.toExponential(1)} FLOP: ${needs.hoursHere.toExponential(1)} hours here ` +
        `(${(needs.hoursHere / 8766).toFixed(0)} years), ${needs.gpuHours.toFixed(0)} GPU-hours`,
    );
  }
}

function countLarge(config: DecoderConfig) {
  const graph = sftGraph(config, { shapes: kernelShapes(config), batch: LARGE_BATCH });
  const parameters = weightCount(config);
  return {
    parameters,
    flopsPerToken: matmulFlops(graph) / (LARGE_BATCH.rows * LARGE_BATCH.length),
    liveBytes: peakLiveBytes(graph),
  };
}
