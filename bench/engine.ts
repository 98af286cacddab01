/**
 * `npm run bench -- engine`: what the engine costs beside the model, and where it stands against
 * llama.cpp: ratios of one run, with medians and raw values. Each contender has a process of its
 * own, with the same number of threads. Every row says in its file what we expected (engine/rows).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { installLlamaCpp } from '../test/llama-cpp.ts';
import { smolLm2Gguf } from '../test/smollm2-gguf.ts';
import { type BenchModel, randomModel, smolLm2 } from './engine/models.ts';
import { TINYLLAMA } from './engine/random-gguf.ts';
import { addResults, figureLines, type RunRow } from './engine/results.ts';
import type { Figure, RowResult } from './engine/row.ts';
import { ROW_NAMES, ROWS, type RowName } from './engine/rows/rows.ts';
import { printMeasured } from './harness/measure.ts';

/** `135m`: SmolLM2-135M. `1.1b`: random weights in TinyLlama's shape, 4.3 GB of them in f32. */
export const SHAPES = ['135m', '1.1b'] as const;
export type ShapeName = (typeof SHAPES)[number];

export type EngineBench = {
  rounds: number;
  answerTokens: number;
  shape: ShapeName;
  /** null: all of them. */
  only: readonly RowName[] | null;
  /** A file for the raw results. Rows that are in it already and are not measured now are kept. */
  out: string | null;
};

/** Returns the ratios by name; none, with a warning, if the model or llama.cpp cannot be had. */
export async function benchEngine({
  rounds,
  answerTokens,
  shape,
  only,
  out,
}: EngineBench): Promise<Record<string, number>> {
  const found = await smolLm2Gguf();
  const missing = 'missing' in found ? found.missing : await installLlamaCpp();
  if (missing !== undefined || 'missing' in found) {
    console.warn(`\nengine: SKIPPED: ${missing}`);
    return {};
  }
  const dir = ownFolder();
  const model = modelOf(shape, path.join(dir, 'model'), found.file);
  const threads = availableParallelism();
  const figures: Figure[] = [];
  for (const name of only ?? ROW_NAMES) {
    const row = ROWS[name];
    console.log(`\n${model.name}: ${row.title}`);
    const began = performance.now();
    const result = await row.run({ model, rounds, tokens: answerTokens, threads, dir });
    const seconds = (performance.now() - began) / 1000;
    print(result);
    console.log(`  (${seconds.toFixed(0)} s)`);
    figures.push(...result.figures);
    const run: RunRow = { at: new Date().toISOString(), rounds, seconds, result };
    if (out !== null) await addResults(out, model.name, { [name]: run });
  }
  console.log(`\n${figureLines(figures).join('\n')}`);
  return Object.fromEntries(figures.map(({ name, against, ratio }) => [`${name} / ${against}`, ratio]));
}

/** A folder for models, gone when the process ends, also if it is told to: they are gigabytes. */
function ownFolder(): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-bench-engine-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  process.once('SIGINT', () => process.exit(130));
  process.once('SIGTERM', () => process.exit(143));
  return dir;
}

function modelOf(shape: ShapeName, dir: string, smolLm2File: string): BenchModel {
  if (shape === '135m') return smolLm2(dir, smolLm2File);
  return randomModel('random weights, 1.1B', dir, { shape: TINYLLAMA, tokenizerOf: smolLm2File });
}

function print({ tables, notes, figures }: RowResult): void {
  for (const { title, unit, measured } of tables) {
    console.log(`\n  ${title}`);
    printMeasured(measured, unit);
  }
  for (const note of notes) console.log(`  ${note}`);
  if (figures.length > 0)
    console.log(
      figureLines(figures)
        .map((line) => `  ${line}`)
        .join('\n'),
    );
}
