/**
 * What it costs that every token could be continued elsewhere: CPU per streamed token, on the
 * backend that makes a MAC and on the edge that checks it. On the edge, against the same pipeline
 * without the check and against a Worker that only passes bytes on. Tokens come one a piece, as
 * from a model of any size, and sixteen a piece, as to an edge that lags. Reading each piece, with
 * nothing done about it, is the least that any Worker pays that looks at an answer.
 *
 * Written down before measuring: 10 microseconds on the backend. On the edge 40 for a token that
 * comes alone, next to about 100 that it costs anyway, and next to nothing where tokens come
 * together, because the last MAC covers those before.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Miniflare } from 'miniflare';
import { startScriptedEngine } from '#gpu-backend/engine/testing/scripted-engine.ts';
import { frameMarks } from '#gpu-backend/server/frame-marks.ts';
import { serveEngine } from '#gpu-backend/server/start-backend.ts';
import { call, DRAW_SECRET, generateRequest, receiptKeys, SECRET } from '#gpu-backend/server/testing/backend-client.ts';
import { type Directive, directiveKey } from '#shared/protocol/directive.ts';
import { deriveFrameKey } from '#shared/protocol/frame-mac.ts';
import { Frame } from '#shared/protocol/generate.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { bundleWorker } from '#workers/local/bundle-worker.ts';
import { descendantsOf } from '../test/process-tree.ts';
import { alternate, medianRatio, printMeasured } from './harness/measure.ts';

const TOKENS = 500;
/** Tokens a piece, and how many answers make a round: the kernel counts CPU in ticks of 10 ms. */
const DELIVERIES = [
  { piece: 1, answers: 6 },
  { piece: 16, answers: 48 },
];
const WORKER = fileURLToPath(new URL('../workers/testing/worker/frame-cost.ts', import.meta.url));
/** Of the kernel's clock. */
const TICK_MS = 10;

export async function benchResumeCost({ rounds }: { rounds: number }): Promise<Record<string, number>> {
  const recorded = await record();
  const marks = await markCost(recorded.directive);
  console.log(`\na mark on the backend: ${marks.toFixed(1)} µs of CPU a token, over ${TOKENS} tokens`);

  const upstream = createServer(async ({ url }, response) => {
    const size = Number(new URL(url!, 'http://any').searchParams.get('piece'));
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    for (let i = 0; i < recorded.lines.length; i += size) {
      response.write(recorded.lines.slice(i, i + size).join(''));
      await sleep(1);
    }
    response.end();
  });
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  const worker = new Miniflare({
    cf: false,
    telemetry: { enabled: false },
    modules: await bundleWorker(WORKER),
    compatibilityDate: '2026-07-30',
    unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
    bindings: {
      UPSTREAM: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`,
      SECRET,
      DIRECTIVE: JSON.stringify(recorded.directive),
      START: JSON.stringify(recorded.start),
      RECEIPT: JSON.stringify(recorded.receipt),
    },
  });
  try {
    const url = (await worker.unsafeGetDirectURL()).origin;
    const { pid } = descendantsOf(process.pid).find(({ command }) => /workerd\S* serve/.test(command))!;
    const cost =
      (way: string, { piece, answers }: (typeof DELIVERIES)[number]) =>
      async () => {
        const before = cpuMs(pid);
        for (let i = 0; i < answers; i++) {
          const text = await (await fetch(`${url}/${way}?piece=${piece}`)).text();
          if ((way === 'on' || way === 'off') && !text.endsWith('data: [DONE]\n\n'))
            throw new Error(`${way}: ${text.slice(-300)}`);
        }
        return (1000 * (cpuMs(pid) - before)) / (answers * TOKENS);
      };
    const figures: Record<string, number> = { 'resume: CPU of a mark on the backend (µs a token)': marks };
    for (const delivery of DELIVERIES) {
      const { piece } = delivery;
      const measured = await alternate(
        [
          { name: 'pipe', run: cost('pipe', delivery) },
          { name: 'each piece read', run: cost('read', delivery) },
          { name: 'each piece read and written', run: cost('copy', delivery) },
          { name: 'without the check', run: cost('off', delivery) },
          { name: 'with the check', run: cost('on', delivery) },
        ],
        { rounds },
      );
      console.log(`\nCPU of workerd per token, ${piece === 1 ? 'one token' : `${piece} tokens`} a piece`);
      printMeasured(measured, 'µs');
      const [pipe, read, copy, off, on] = measured;
      figures[`resume: CPU at the edge, on / off, ${piece} a piece`] = medianRatio(on, off);
      figures[`resume: CPU at the edge, on / pipe, ${piece} a piece`] = medianRatio(on, pipe);
      figures[`resume: CPU at the edge, on / reading and writing, ${piece} a piece`] = medianRatio(on, copy);
      figures[`resume: CPU at the edge, only reading / pipe, ${piece} a piece`] = medianRatio(read, pipe);
    }
    return figures;
  } finally {
    await worker.dispose();
    upstream.close();
  }
}

/** An answer of a real backend, line by line, without its start. */
async function record() {
  const { receiptPrivateJwk, jwks } = await receiptKeys();
  const engine = await startScriptedEngine({ contextLength: 2 * TOKENS });
  const backend = await serveEngine(engine, () => ({ promptIds: [7, 70, 71], rowPrompts: {} }), {
    directiveSecret: SECRET,
    drawSecret: DRAW_SECRET,
    receiptPrivateJwk,
    host: '127.0.0.1',
    port: 0,
    backendId: 'b1',
    graceMs: 0,
    bodyLimitBytes: 1 << 20,
    hostNames: null,
  });
  try {
    let signed: Directive | undefined;
    const edit = (directive: Directive) => {
      signed = directive;
      return directive;
    };
    const body = generateRequest({ max_tokens: TOKENS, ignore_eos: true, expert_logprobs: false });
    const text = await (await call(backend.url, body, { edit, line: { floor: 0.3, budget: 20 } })).text();
    const lines = text.split('\n').flatMap((line) => (line === '' ? [] : [`${line}\n`]));
    const frames = lines.map((line) => Frame.parse(JSON.parse(line)));
    const start = frames.find((frame) => frame.type === 'start')!;
    const end = frames.at(-1)!;
    if (end.type !== 'end') throw new Error('the answer to record has no end');
    const from = frames.findIndex((frame) => frame.type === 'token');
    return { lines: lines.slice(from), start, directive: signed!, receipt: await verifyReceipt(end.receipt, jwks) };
  } finally {
    await backend.close();
  }
}

/** CPU of this process for each mark, in microseconds. */
async function markCost({ resume: _, ...directive }: Directive): Promise<number> {
  const frameKey = await deriveFrameKey(directiveKey(SECRET));
  const about = { directive, bundle: '0'.repeat(64), draws: '01234567', backend: 'b1', parts: [], choice: 0 };
  const token = { weight: 0.4, spent: 1.25, ran: { safety: 1, helpfulness: 1 } };
  const answers = 40;
  const run = () => {
    const before = process.cpuUsage();
    for (let answer = 0; answer < answers; answer++) {
      const mark = frameMarks(frameKey, { ...about, resume: null });
      for (let id = 0; id < TOKENS; id++) mark({ id, ...token });
    }
    const { user, system } = process.cpuUsage(before);
    return (user + system) / (answers * TOKENS);
  };
  run();
  return run();
}

/** The CPU time of a process, in milliseconds. Linux only. */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // "pid (name) state ...": the user's and the system's ticks are the 14th and 15th field.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return TICK_MS * (Number(fields[11]) + Number(fields[12]));
}
