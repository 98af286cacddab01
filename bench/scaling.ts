/**
 * What a deployment costs as it grows. MEASURED, on this machine: the CPU of a gate node and of the
 * edge, and the bytes between them and the engines. COMPUTED: nodes of each kind for 1, 100 and
 * 10,000 requests a second. SIMULATED: how long a token takes, where jobs wait for each other.
 * Engines are assumptions (scaling/assumptions.ts): no vLLM and no SGLang runs here.
 *
 * `--docs docs/scaling` keeps the figures, draws the picture, and fills docs/scaling.md. With
 * `--parts docs/scaling/measured.json` nothing is measured again.
 *
 * Written down before measuring: a gate node takes 1 to 2 ms a token, of which the gate is under a
 * tenth, and 0.3 ms more for each 1,000 tokens before it; the edge 0.1 ms a token. The first thing
 * to be full is the engine's process that speaks HTTP, then the gate node, then the GPU. A gate
 * inside the engine saves three quarters of vLLM's GPUs, and few of SGLang's.
 */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { renderSvg } from '#lab/plots/render.ts';
import { fillPage } from './engine/page.ts';
import { readResults } from './engine/results.ts';
import { HTTP_MS, INSIDE, SGLANG, VLLM } from './scaling/assumptions.ts';
import { bottleneck, capacities, gateMs, workOfRequest } from './scaling/formulae.ts';
import { measureParts } from './scaling/measure-parts.ts';
import { type MeasuredParts, readMeasured } from './scaling/measured-parts.ts';
import { type Machine, pageParts } from './scaling/page.ts';
import { scalingPlot } from './scaling/plot.ts';
import { type Point, simulateAll } from './scaling/simulated.ts';

const ROOT = path.join(import.meta.dirname, '..');

type Options = { rounds: number; docs: string | null; parts: string | null };

export async function benchScaling({ rounds, docs, parts: kept }: Options) {
  const parts = kept === null ? await measureParts({ rounds }) : readMeasured(kept);
  const points = simulateAll(parts);
  const texts = pageParts(parts, points, await machineOf());
  for (const text of Object.values(texts)) console.log(`\n${text}`);
  if (docs !== null) await keep(docs, { parts, points, texts });
  const figures: Record<string, number> = {
    'measured: the gate alone, a token (ms)': parts.gateStepMs,
    'measured: a gate node, a token (ms)': gateMs(parts),
    'measured: the edge, a token (ms)': parts.edgeMs.perToken,
  };
  for (const [name, engine] of [
    ['vLLM', VLLM(HTTP_MS)],
    ['SGLang', SGLANG(HTTP_MS)],
  ] as const) {
    const work = workOfRequest(parts, engine);
    console.log(`with one of each, the first to be full beside ${name}: ${bottleneck(work)}`);
    const inside = capacities(workOfRequest(parts, INSIDE(HTTP_MS)));
    figures[`computed: requests of one H100, the gate inside / ${name}`] = inside.gpu / capacities(work).gpu;
  }
  return figures;
}

/** A real model on a small machine, as the engine's bench has measured it. */
export async function machineOf(): Promise<Machine> {
  const model = 'SmolLM2-135M';
  const rows = (await readResults(path.join(ROOT, 'docs/performance/results.json'))).models[model];
  const curve = rows?.curve?.result.points['curve f32'] ?? [];
  const tokens = Math.max(...curve.filter(({ name }) => name === 'two experts, f32').map(({ y }) => y));
  const [prefill] = rows?.prefill?.result.tables ?? [];
  const prompt = prefill?.measured.find(({ name }) => name === 'ours f32')?.median;
  if (!(tokens > 0) || prompt === undefined)
    throw new Error('docs/performance/results.json: found no curve or prefill');
  return { model, tokensPerSecond: tokens, promptTokensPerSecond: prompt };
}

async function keep(
  docs: string,
  { parts, points, texts }: { parts: MeasuredParts; points: readonly Point[]; texts: Record<string, string> },
): Promise<void> {
  makeFolder(path.resolve(docs));
  await writeFile(path.join(docs, 'measured.json'), `${JSON.stringify(parts, null, 2)}\n`);
  await writeFile(path.join(docs, 'simulated.json'), `${JSON.stringify(points, null, 1)}\n`);
  await writeFile(path.join(docs, 'nodes.svg'), await renderSvg(scalingPlot(parts, points)));
  const page = path.join(docs, '../scaling.md');
  await writeFile(page, fillPage(await readFile(page, 'utf8'), texts));
}
