/**
 * Ten thousand requests to one backend: does its memory stay what it is, and does every row come
 * back? `plimsoll backend` serves the demo bundle in a process of its own, to sixteen clients at a
 * time. We sample the memory of that process and the rows that it holds open. After every tenth of
 * the requests, once all rows are back, we ask both of its threads how much of their memory is
 * alive: their heaps, and what these hold outside, without garbage.
 *
 * The live part is what a leak would show in. Resident memory says less: it also has free memory
 * that V8 and the allocator keep for later, and that may grow for a long time.
 *
 * Written down before measuring: no row is left, no request ends otherwise than it should, and
 * after the warm-up the live part grows by less than 100 bytes a request. That is 1 MB in all, and
 * less than the id of one request in one table would take.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { loadBundleHead } from '#gpu-backend/model/load-bundle.ts';
import { type Line, leastSquares } from './harness/least-squares.ts';
import type { LiveMemory } from './harness/live-memory.ts';
import { canMeasureMemory, memoryOf } from './harness/process-memory.ts';
import { type ServedBackend, serveBackend } from './harness/serve-model.ts';
import { soakProgress } from './soak-progress.ts';
import { type SoakOutcome, soakRequest } from './soak-requests.ts';

const CLIENTS = 16;
/** The caches fill and code is compiled in the first part of the requests. */
const WARM_UP = 0.3;
const SAMPLES = 100;
const LIVE_SAMPLES = 10;
/** The most bytes that live memory may grow by, a request. */
const MOST_GROWTH = 100;
/** Full long before memory is watched, so that it does not look like a leak. */
const PREFIX_BYTES = 16 * 2 ** 20;
/** How long rows may take to come back after the last request. */
const SETTLE_MS = 10_000;

type Sample = { requests: number; bytes: number; rows: number };

/**
 * Throws if rows are left open, if requests ended otherwise than they should, or if live memory
 * grows.
 */
export async function benchSoak({ bundle, requests }: { bundle: string; requests: number }) {
  if (!canMeasureMemory) {
    console.warn('\nsoak: SKIPPED: memory is measured on Linux only');
    return {};
  }
  const head = await loadBundleHead(bundle);
  const context = head.config.max_position_embeddings;
  const serving = { model: head.id, context, quiet: true, prefixBytes: PREFIX_BYTES, reportsMemory: true };
  const backend = await serveBackend(bundle, serving);
  const progress = soakProgress(requests);
  try {
    const counts = { answered: 0, cancelled: 0, refused: 0 };
    const unexpected: string[] = [];
    const [samples, live]: [Sample[], (LiveMemory & { requests: number })[]] = [[], []];
    const count = (outcome: SoakOutcome) => {
      if (typeof outcome === 'string') counts[outcome]++;
      else unexpected.push(outcome.unexpected);
    };
    const every = Math.max(1, Math.floor(requests / SAMPLES));
    let [next, done, left] = [0, 0, 0];
    const client = async (until: number) => {
      while (next < until) {
        count(await soakRequest(backend.url, head, { i: next++, context }));
        if (++done % every !== 0) continue;
        const { bytes, rows } = await sample(backend);
        samples.push({ requests: done, bytes, rows });
        progress.update(done, { residentBytes: bytes, rows });
      }
    };
    const began = performance.now();
    for (let part = 1; part <= LIVE_SAMPLES; part++) {
      const until = Math.round((part / LIVE_SAMPLES) * requests);
      await Promise.all(Array.from({ length: CLIENTS }, () => client(until)));
      left = await rowsLeft(backend);
      if (left > 0) throw new Error(`${left} rows are still open ${SETTLE_MS / 1000} s after the last request`);
      live.push({ requests: done, ...(await backend.liveMemory()) });
    }
    const seconds = (performance.now() - began) / 1000;
    progress.stop();

    console.log(`\n${requests} requests of all lengths, ${CLIENTS} at a time, in ${seconds.toFixed(0)} s`);
    for (const [end, number] of Object.entries(counts)) console.log(`  ${number} ${end}`);
    console.log(`  ${unexpected.length} otherwise`);
    console.log(`  rows open: at most ${Math.max(...samples.map(({ rows }) => rows))}, ${left} at the end`);
    const shown = samples.filter((_, i) => i % 10 === 9).map(({ bytes }) => bytes);
    const afterWarmUp = (points: readonly { requests: number; bytes: number }[]) =>
      leastSquares(
        points.filter((point) => point.requests > WARM_UP * requests).map(({ requests: x, bytes: y }) => ({ x, y })),
      );
    printMemory('resident', { bytes: shown, line: afterWarmUp(samples) });
    const liveLine = afterWarmUp(live.map(({ main, worker, ...at }) => ({ ...at, bytes: main + worker })));
    printMemory('live', { bytes: live.map(({ main, worker }) => main + worker), line: liveLine });
    for (const thread of ['main', 'worker'] as const) {
      const points = live.map((one) => ({ requests: one.requests, bytes: one[thread] }));
      printMemory(`live in the ${thread} thread`, {
        bytes: points.map(({ bytes }) => bytes),
        line: afterWarmUp(points),
      });
    }
    if (unexpected.length > 0) {
      throw new Error(`${unexpected.length} requests ended otherwise than they should, the first: ${unexpected[0]}`);
    }
    if (liveLine.slope - 2 * liveLine.slopeError > MOST_GROWTH) {
      const found = `${liveLine.slope.toFixed(0)} ± ${liveLine.slopeError.toFixed(0)}`;
      throw new Error(`live memory grows by ${found} bytes a request, wanted at most ${MOST_GROWTH}`);
    }
    return { 'soak: bytes that live memory grows by, a request': liveLine.slope, 'soak: rows left open': left };
  } finally {
    progress.stop();
    await backend.close();
  }
}

function printMemory(what: string, { bytes, line: { slope, slopeError } }: { bytes: readonly number[]; line: Line }) {
  console.log(`  ${what}, in MB, along the way: ${bytes.map((each) => (each / 1e6).toFixed(1)).join(' ')}`);
  const growth = `${slope.toFixed(0)} ± ${slopeError.toFixed(0)} bytes a request`;
  console.log(`    slope after the first ${100 * WARM_UP} %: ${growth}`);
}

async function sample(backend: ServedBackend): Promise<Omit<Sample, 'requests'>> {
  const [{ resident }, rows] = await Promise.all([memoryOf(backend.pid), openRows(backend)]);
  return { bytes: resident, rows };
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
