/**
 * Ten thousand requests to one backend: does its memory stay what it is, and does every row come
 * back? `plimsoll backend` serves the demo bundle in a process of its own, to sixteen clients at a
 * time. We sample the memory of that process and the rows that it holds open, and draw a line
 * through what comes after the warm-up.
 *
 * Written down before measuring: no row is left, no request ends otherwise than it should, and the
 * memory grows by less than 1 KB a request after the warm-up, which is the heap of Node breathing.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { loadBundleHead } from '#gpu-backend/model/load-bundle.ts';
import { canMeasureMemory, memoryOf } from './harness/process-memory.ts';
import { type ServedBackend, serveBackend } from './harness/serve-model.ts';
import { leastSquares } from './least-squares.ts';
import { type SoakOutcome, soakRequest } from './soak-requests.ts';

const CLIENTS = 16;
/** The caches fill and code is compiled in the first part of the requests. */
const WARM_UP = 0.3;
const SAMPLES = 100;
/** Full long before memory is watched, so that it does not look like a leak. */
const PREFIX_BYTES = 16 * 2 ** 20;
/** How long rows may take to come back after the last request. */
const SETTLE_MS = 10_000;

type Sample = { requests: number; bytes: number; rows: number };

/** Throws if rows are left open at the end, or if requests ended otherwise than they should. */
export async function benchSoak({ bundle, requests }: { bundle: string; requests: number }) {
  if (!canMeasureMemory) {
    console.warn('\nsoak: SKIPPED: memory is measured on Linux only');
    return {};
  }
  const head = await loadBundleHead(bundle);
  const context = head.config.max_position_embeddings;
  const backend = await serveBackend(bundle, { model: head.id, context, quiet: true, prefixBytes: PREFIX_BYTES });
  try {
    const counts = { answered: 0, cancelled: 0, refused: 0 };
    const unexpected: string[] = [];
    const samples: Sample[] = [];
    const count = (outcome: SoakOutcome) => {
      if (typeof outcome === 'string') counts[outcome]++;
      else unexpected.push(outcome.unexpected);
    };
    const every = Math.max(1, Math.floor(requests / SAMPLES));
    let [next, done] = [0, 0];
    const client = async () => {
      while (next < requests) {
        count(await soakRequest(backend.url, head, { i: next++, context }));
        if (++done % every === 0) samples.push(await sample(backend, done));
      }
    };
    const began = performance.now();
    await Promise.all(Array.from({ length: CLIENTS }, client));
    const seconds = (performance.now() - began) / 1000;
    const left = await rowsLeft(backend);

    console.log(`\n${requests} requests of all lengths, ${CLIENTS} at a time, in ${seconds.toFixed(0)} s`);
    for (const [end, number] of Object.entries(counts)) console.log(`  ${number} ${end}`);
    console.log(`  ${unexpected.length} otherwise`);
    console.log(`  rows open: at most ${Math.max(...samples.map(({ rows }) => rows))}, ${left} at the end`);
    const measured = samples.filter(({ requests: after }) => after > WARM_UP * requests);
    const { slope, slopeError } = leastSquares(measured.map(({ requests: x, bytes: y }) => ({ x, y })));
    const shown = samples.filter((_, i) => i % 10 === 9).map(({ bytes }) => (bytes / 1e6).toFixed(0));
    console.log(`  resident, in MB, along the way: ${shown.join(' ')}`);
    console.log(
      `  slope after the first ${100 * WARM_UP} %: ${slope.toFixed(0)} ± ${slopeError.toFixed(0)} bytes a request`,
    );
    if (unexpected.length > 0) {
      throw new Error(`${unexpected.length} requests ended otherwise than they should, the first: ${unexpected[0]}`);
    }
    if (left > 0) throw new Error(`${left} rows are still open ${SETTLE_MS / 1000} s after the last request`);
    return { 'soak: bytes that memory grows by, a request': slope, 'soak: rows left open': left };
  } finally {
    await backend.close();
  }
}

async function sample(backend: ServedBackend, requests: number): Promise<Sample> {
  const [{ resident }, rows] = await Promise.all([memoryOf(backend.pid), openRows(backend)]);
  return { requests, bytes: resident, rows };
}

/** How many rows are open once all have had time to come back. */
async function rowsLeft(backend: ServedBackend): Promise<number> {
  const until = performance.now() + SETTLE_MS;
  let rows = await openRows(backend);
  while (rows > 0 && performance.now() < until) {
    await sleep(100);
    rows = await openRows(backend);
  }
  return rows;
}

async function openRows({ url }: ServedBackend): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const [, rows] = /^plimsoll:num_rows\{[^}]*\} (\d+)$/m.exec(text) ?? [];
  if (rows === undefined) throw new Error(`${url}/metrics: found no plimsoll:num_rows, wanted one`);
  return Number(rows);
}
