/**
 * What it costs to have the experts on another engine: SmolLM2-135M-Instruct under our two experts,
 * in f32, as one answer and as eight at once, tokens a second.
 *
 * - **onnx**: the whole engine, two rows an answer, on all cores.
 * - **llama.cpp, gate node**: the same engine over the llama.cpp driver, and two of llama.cpp's own
 *   servers with the experts' adapters, each on half of the cores. Each token is a request to both.
 * - **llama.cpp alone**: one of its servers, with the safety expert's adapter, on all cores. It
 *   draws by itself and streams. That is one expert and no gate, so half of the work.
 *
 * Temperature 0.7 and top-p 0.95 everywhere. All have slots for all answers, and read no prompt
 * while we count. llama.cpp has keys and values in f16, which is its default.
 *
 * Written down before measuring, tokens a second of the gate node: against onnx 0.5 to 0.7 with one
 * answer, where a round trip with its JSON and llama.cpp's own sampling of a token that nobody
 * wants add 2 to 4 ms to a step of 25, and 0.4 to 0.6 with eight, which llama.cpp computes as one
 * batch but gets as eight requests. Against llama.cpp alone 0.4 and 0.3: each expert has half of
 * the cores, and pays for the same round trip.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { exportGguf, type GgufExport } from '#gpu-backend/export/export-gguf.ts';
import { importModel } from '#gpu-backend/import/import-model.ts';
import { writeRemoteBundle } from '#gpu-backend/import/write-remote-bundle.ts';
import { loadBundleHead } from '#gpu-backend/model/load-bundle.ts';
import { startRemoteEngine } from '#gpu-backend/remote/start-remote-engine.ts';
import { installLlamaServer, LlamaServer } from '../test/llama-server.ts';
import { smolLm2Gguf } from '../test/smollm2-gguf.ts';
import { withContenders } from './engine/contenders.ts';
import { timeAnswers } from './engine/drive-engine.ts';
import { storyPrompts } from './engine/prompts.ts';
import { streamLlamaServer } from './engine/stream-llama-server.ts';
import { tokensPerSecond } from './engine/token-times.ts';
import { alternate, medianRatio, printMeasured } from './harness/measure.ts';

const EXPERTS = path.join(import.meta.dirname, '../models/smollm2-135m-instruct');
const AT_ONCE = [1, 8] as const;
const SLOTS = Math.max(...AT_ONCE);
const CONTEXT = 1024;
const TOP_K = 20;
const REACH = { onnx: { 1: 0.5, 8: 0.4 }, alone: { 1: 0.4, 8: 0.3 } } as const;

/** Returns the ratios by name; none, with a warning, where a part cannot be had. */
export async function benchRemote({
  rounds,
  answerTokens,
}: {
  rounds: number;
  answerTokens: number;
}): Promise<Record<string, number>> {
  const found = await smolLm2Gguf();
  const missing = 'missing' in found ? found.missing : await installLlamaServer();
  if (missing !== undefined || 'missing' in found) {
    console.warn(`\nremote: SKIPPED: ${missing}`);
    return {};
  }
  const dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-bench-remote-'));
  try {
    const bundle = path.join(dir, 'bundle');
    await importModel({ source: found.file, out: bundle, id: 'smollm2', expertsFolder: EXPERTS, weights: 'f32' });
    const files = await exportGguf({ bundle, out: path.join(dir, 'gguf') });
    const expert = { adapter: true };
    const remote = path.join(dir, 'remote');
    await writeRemoteBundle({
      ...{ source: bundle, out: remote, id: 'smollm2', topK: TOP_K, licence: 'Apache-2.0' },
      experts: { safety: expert, helpfulness: expert },
    });
    return await measure({ bundle, remote, files }, { rounds, tokens: answerTokens });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

type Models = { bundle: string; remote: string; files: GgufExport };

async function measure(
  { bundle, remote, files }: Models,
  { rounds, tokens }: { rounds: number; tokens: number },
): Promise<Record<string, number>> {
  const cores = availableParallelism();
  const half = Math.max(1, Math.floor(cores / 2));
  return withContenders(async (contenders) => {
    const serve = async (role: 'safety' | 'helpfulness', threads: number) =>
      contenders.keep(
        await LlamaServer.start({
          ...{ model: files.base, lora: [files.adapters[role]!], threads },
          ...{ contextSize: CONTEXT, parallel: SLOTS },
        }),
      );
    const onnx = await contenders.engine(bundle, { threads: cores, context: CONTEXT, rows: 2 * SLOTS });
    const alone = await serve('safety', cores);
    const on = async (role: 'safety' | 'helpfulness') => ({
      ...{ engine: 'llamacpp' as const, urls: [(await serve(role, half)).url] },
      ...{ model: null, timeout_ms: 600_000, at_once: SLOTS },
    });
    const gateNode = contenders.keep(
      await startRemoteEngine({
        ...{ dir: remote, contextLength: CONTEXT, limits: {}, warn: console.warn },
        engines: { safety: await on('safety'), helpfulness: await on('helpfulness') },
      }),
    );
    const prompts = storyPrompts(await loadBundleHead(bundle), SLOTS);
    const variants = AT_ONCE.flatMap((count) => {
      const asked = prompts.slice(0, count);
      const answers = { experts: 2, prompts: asked, tokens, draw: 'sampled' } as const;
      const speed = (name: string, times: () => Promise<number[][]>) => ({
        name: `${name}, ${count} at once`,
        run: async () => tokensPerSecond(await times()),
      });
      return [
        speed('onnx', async () => (await onnx.ask('answers', answers)).times),
        speed('llama.cpp, gate node', () => timeAnswers(gateNode, answers)),
        speed('llama.cpp alone', () => streamLlamaServer(alone.url, { prompts: asked, tokens })),
      ];
    });
    const measured = await alternate(variants, { rounds });
    console.log('\nexperts on llama.cpp (tokens/s of all answers together)');
    printMeasured(measured, 'tokens/s');
    const ratios: Record<string, number> = {};
    for (const [i, count] of AT_ONCE.entries()) {
      // Each count has three variants, in this order.
      const [own, node, peer] = measured.slice(3 * i, 3 * i + 3) as [
        (typeof measured)[0],
        (typeof measured)[0],
        (typeof measured)[0],
      ];
      const pairs = [
        ['onnx', own, REACH.onnx[count]],
        ['llama.cpp alone', peer, REACH.alone[count]],
      ] as const;
      for (const [against, other, reach] of pairs) {
        ratios[`gate node on llama.cpp / ${against}, ${count} at once (target ${reach})`] = medianRatio(node, other);
      }
    }
    return ratios;
  });
}
