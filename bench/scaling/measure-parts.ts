/**
 * Measures what gate nodes and the edge cost: CPU time of their own processes, so that other work
 * on the machine disturbs little. The engines are servers that speak vLLM's HTTP over experts
 * without a model, in this process, whose time does not count.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { type Script, ScriptedExperts } from '#gpu-backend/engine/scripted-experts.ts';
import { writeRemoteBundle } from '#gpu-backend/import/write-remote-bundle.ts';
import { PROTOCOLS, serveEngine } from '#gpu-backend/remote/testing/engine-servers.ts';
import { VLLM } from '#gpu-backend/remote/vllm.ts';
import { allFrames, call, generateRequest, SECRET } from '#gpu-backend/server/testing/backend-client.ts';
import { gateTruncatedStep, type OwnRow, pairRows, seedKey, startGate } from '#shared/gate/index.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { createRandom } from '#training/data/random.ts';
import { seedDemoTenants } from '#workers/local/seed-demo-tenants.ts';
import { startEdge } from '#workers/local/start-edge.ts';
import { descendantsOf } from '../../test/process-tree.ts';
import { leastSquares } from '../harness/least-squares.ts';
import { median } from '../harness/measure.ts';
import { cpuMsOf } from '../harness/process-time.ts';
import { startScriptedBackend } from '../harness/scripted-backend.ts';
import { serveBackend } from '../harness/serve-model.ts';
import type { MeasuredParts } from './measured-parts.ts';

const TOP_K = 20;
const VOCAB = 4096;
/** The demo's bundle is the source of the texts. Its model is asked nothing. */
const DEMO = path.join(import.meta.dirname, '../../models/demo');
const CONTEXT = 4096;
const ANSWERS = 16;
const TOKENS = 48;
/** Words of a prompt, which are about as many tokens. */
const PROMPT_WORDS = [20, 500, 1500];

export async function measureParts({ rounds }: { rounds: number }): Promise<MeasuredParts> {
  const bytes = (count: number) => JSON.stringify(questionFor(typicalIds(count)).body).length;
  const gateNode = await measureGateNode(rounds);
  return {
    at: new Date().toISOString(),
    machine: { cpu: cpus()[0]!.model, cores: availableParallelism(), node: process.version },
    topK: TOP_K,
    gateStepMs: measureGateStep(rounds),
    gateNodeMs: lineOf(gateNode.points),
    edgeMs: await measureEdge(rounds),
    questionBytes: lineOf([0, 500, 2000].map((ids) => ({ x: ids, y: bytes(ids) }))),
    answerBytes: gateNode.answerBytes,
  };
}

/** As a gate node asks vLLM for one row. */
const questionFor = (ids: readonly number[]) =>
  VLLM.rows.question({ ids, positions: 1 }, { model: 'helpfulness', topK: TOP_K, cacheSalt: 'a'.repeat(43) });

/** Ids as a vocabulary of 128,000 has them: mostly five and six digits. */
function typicalIds(count: number): number[] {
  const random = createRandom('bench/scaling/ids');
  return Array.from({ length: count }, () => random.int(0, 127_999));
}

/** A line without a negative part: what little noise makes of one is nothing. */
function lineOf(points: readonly { x: number; y: number }[]) {
  const { intercept, slope } = leastSquares(points);
  return { fixed: Math.max(0, intercept), perToken: Math.max(0, slope) };
}

/** From two experts' own rows to a drawn token, in milliseconds: the median of the rounds. */
function measureGateStep(rounds: number): number {
  const random = createRandom('bench/scaling/rows');
  const row = (): OwnRow => {
    const ids = random
      .sample(
        Array.from({ length: 200 }, (_, id) => id),
        TOP_K,
      )
      .sort((a, b) => a - b);
    const weights = ids.map(() => 3 * Math.log(random.next()));
    const total = weights.reduce((sum, one) => sum + Math.exp(one), 0) * 1.05;
    const logprobs = Float64Array.from(weights, (one) => one - Math.log(total));
    return { ids: Int32Array.from(ids), logprobs, left: 1 - 1 / 1.05 };
  };
  const pairs = Array.from({ length: 500 }, () => [row(), row()] as const);
  const policy = { floor: 0.3, ceiling: 1, opening: { tokens: 0, floor: 0 }, rule: 'geometric', earned: null } as const;
  const times = Array.from({ length: rounds + 1 }, () => {
    const began = performance.now();
    let state = startGate();
    for (const [i, [safety, helpful]] of pairs.entries()) {
      const rows = pairRows(safety, helpful, { topK: TOP_K });
      const sampling = { temperature: 1, topP: 1, key: seedKey(i) };
      state = gateTruncatedStep({ rows, policy: { ...policy, budget: 20 }, proposal: 0.4, sampling, state }).state;
    }
    return (performance.now() - began) / pairs.length;
  });
  return median(times.slice(1));
}

/** CPU of a gate node's process for a token, at prompts of several lengths. */
async function measureGateNode(rounds: number) {
  const folder = await mkdtemp(path.join(tmpdir(), 'plimsoll-bench-scaling-'));
  const experts = new ScriptedExperts(wordy, { vocabSize: VOCAB });
  const server = await serveEngine(experts, PROTOCOLS.vllm());
  try {
    const bundle = await remoteBundle(folder);
    const engines = path.join(folder, 'engines.json');
    // One position: what a round trip costs. Several share it among the tokens that are accepted.
    const on = (model: string) => ({ engine: 'vllm', urls: [server.url], model, positions: 1 });
    await writeFile(engines, JSON.stringify({ safety: on('safety'), helpfulness: on('helpfulness') }));
    const env = { PLIMSOLL_ENGINES: engines, PLIMSOLL_MAX_ROWS: '64', PLIMSOLL_BODY_LIMIT_BYTES: '4000000' };
    const node = await serveBackend(bundle, { model: 'scaling', context: CONTEXT, quiet: true, env });
    try {
      const points: { x: number; y: number }[] = [];
      // The first round warms up.
      for (let round = -1; round < rounds; round++) {
        for (const words of PROMPT_WORDS) {
          const point = await tokensThrough(node, { words, seed: 1000 * (round + 1) });
          if (round >= 0) points.push(point);
        }
      }
      const { path: route, body } = questionFor([5, 6, 7]);
      const answer = await fetch(`${server.url}${route}`, { method: 'POST', body: JSON.stringify(body) });
      return { points, answerBytes: (await answer.text()).length };
    } finally {
      await node.close();
    }
  } finally {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Logits of a vocabulary like the demo's, in which an answer never ends by itself. */
const wordy: Script = (source, ids) => {
  const turn = ids.length * 7 + (source === 'safety' ? 1 : 2);
  return Array.from({ length: VOCAB }, (_, id) => (id < 300 ? -30 : 3 * Math.sin(turn * (id + 1))));
};

async function remoteBundle(folder: string): Promise<string> {
  const source = path.join(folder, 'source');
  await cp(DEMO, source, {
    recursive: true,
    filter: (file) => !/safetensors$|experts|routers/.test(path.basename(file)),
  });
  const config = JSON.parse(await readFile(path.join(DEMO, 'config.json'), 'utf8'));
  const longer = { ...config, max_position_embeddings: CONTEXT };
  await writeFile(path.join(source, 'config.json'), JSON.stringify(longer));
  const out = path.join(folder, 'bundle');
  const expert = { adapter: true };
  const experts = { safety: expert, helpfulness: expert };
  await writeRemoteBundle({ source, out, id: 'scaling', topK: TOP_K, licence: 'Apache-2.0', experts });
  return out;
}

/** Milliseconds of CPU a token over the mean of the tokens before it, for answers side by side. */
async function tokensThrough(
  { url, pid }: { url: string; pid: number },
  { words, seed }: { words: number; seed: number },
): Promise<{ x: number; y: number }> {
  const before = await cpuMsOf(pid);
  const ends = await Promise.all(
    Array.from({ length: ANSWERS }, async (_, i) => {
      const content = `number ${seed + i} ${'and the boat is safe '.repeat(Math.ceil(words / 5))}`;
      const request = generateRequest({
        ...{ model: 'scaling', messages: [{ role: 'user', content }], max_tokens: TOKENS },
        ...{ seed: seed + i, expert_logprobs: false },
      });
      const frames = await allFrames(await call(url, request, { line: { floor: 0.3, budget: 20 } }));
      const end = frames.at(-1);
      if (end?.type !== 'end') throw new Error(`an answer ended with ${JSON.stringify(end)}`);
      return end.usage;
    }),
  );
  const tokens = ends.reduce((sum, { completion_tokens }) => sum + completion_tokens, 0);
  const prompt = ends.reduce((sum, { prompt_tokens }) => sum + prompt_tokens, 0) / ANSWERS;
  return { x: prompt + TOKENS / 2, y: ((await cpuMsOf(pid)) - before) / tokens };
}

/** CPU of workerd for a streamed answer, over its tokens. */
async function measureEdge(rounds: number) {
  const operatorKey = 'bench-operator';
  const { backend, jwks } = await startScriptedBackend({ contextLength: 1024 });
  const dataDir = await mkdtemp(path.join(tmpdir(), 'plimsoll-bench-'));
  const edge = await startEdge({
    ...{ port: 0, dataDir, backends: [backend.url], directiveSecret: SECRET, receiptJwks: jwks },
    operatorKeySha256: await sha256Hex(operatorKey),
  });
  try {
    await seedDemoTenants(edge.url, operatorKey);
    const workerd = descendantsOf(process.pid).find(({ command }) => command.includes('workerd'));
    if (workerd === undefined) throw new Error('found no workerd among the processes, wanted the edge');
    const points: { x: number; y: number }[] = [];
    for (let round = -1; round < rounds; round++) {
      for (const tokens of [8, 128, 512]) {
        const before = await cpuMsOf(workerd.pid);
        const counts = await Promise.all(
          Array.from({ length: 24 }, (_, i) => streamed(edge.url, { tokens, seed: 100 * round + i })),
        );
        const ms = (await cpuMsOf(workerd.pid)) - before;
        const mean = counts.reduce((sum, one) => sum + one, 0) / counts.length;
        if (round >= 0) points.push({ x: mean, y: ms / counts.length });
      }
    }
    return lineOf(points);
  } finally {
    await edge.dispose();
    await backend.close();
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** Reads one streamed answer, and returns how many tokens it had. */
async function streamed(url: string, { tokens, seed }: { tokens: number; seed: number }): Promise<number> {
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer pk-demo-open' },
    body: JSON.stringify({
      ...{ model: 'scripted', stream: true, stream_options: { include_usage: true }, max_tokens: tokens, seed },
      messages: [{ role: 'user', content: `How long does bread number ${seed} bake?` }],
    }),
  });
  const text = await answer.text();
  const [, count] = /"completion_tokens":(\d+)/.exec(text) ?? [];
  if (count === undefined) throw new Error(`the answer failed (${answer.status}): ${text.slice(0, 200)}`);
  return Number(count);
}
