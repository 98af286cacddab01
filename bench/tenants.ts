/**
 * What many tenants cost: the same edge with 10, 1,000 and 100,000 of them in its index. A tenant's
 * own object is made when somebody first asks for it, so only up to 1,000 are made through the
 * admin API and asked. The rest are rows of the index, written straight into its database.
 *
 * Measured are the p50 of a request whose tenant the isolate knows and of a tenant's very first,
 * the resident memory of the runtime's process, and the size of everything on disk.
 *
 * Written down before measuring. A known tenant's p50 is the same (0.95 to 1.05; the aim is at most
 * 1.1 times that of 10 tenants): the isolate remembers it. A first request waits for the index and
 * for one object, whose searches grow as the logarithm: 1.0 to 1.2. The isolate remembers at most
 * 2,000 keys, so memory grows by some megabytes for the 1,000 that were asked, and not with the
 * index. On disk, a row of the index with its key takes some 300 bytes, and an object some 100 KB.
 */
import { statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ask, type EdgeUnderTest, post, startEdgeUnderTest, testKey } from '#workers/testing/edge-under-test.ts';
import { descendantsOf } from '../test/process-tree.ts';
import { alternate, median, medianRatio, printMeasured } from './harness/measure.ts';
import { canMeasureMemory, memoryOf } from './harness/process-memory.ts';

const COUNTS = [10, 1_000, 100_000] as const;
const MOST_TOUCHED = 1_000;
const REQUESTS_A_ROUND = 50;
const MB = 1e6;
/** After it, an account has written what it was told (`WRITE_MS` in tenant-account.ts). */
const WRITTEN_MS = 50;

type World = { count: number; under: EdgeUnderTest; dataDir: string; pid: number | null; touched: readonly string[] };

export async function benchTenants({ rounds }: { rounds: number }): Promise<Record<string, number>> {
  const worlds: World[] = [];
  try {
    const firsts: number[] = [];
    for (const count of COUNTS) {
      const world = await startWorld(count);
      worlds.push(world);
      const latencies: number[] = [];
      for (const tenant of world.touched) latencies.push(await timed(world, tenant));
      firsts.push(median(latencies));
    }
    const [measured, atOnce] = [
      await alternate(
        worlds.map((world) => ({ name: `${world.count} tenants`, run: () => known(world, WRITTEN_MS) })),
        { rounds },
      ),
      await alternate(
        worlds.map((world) => ({ name: `${world.count} tenants, right after another`, run: () => known(world, 0) })),
        { rounds },
      ),
    ];
    console.log(`\np50 of a request of a known tenant (of ${REQUESTS_A_ROUND} a round, one at a time)`);
    printMeasured([...measured, ...atOnce], 'ms');
    const figures: Record<string, number> = {};
    for (const [i, world] of worlds.entries()) {
      const { count, touched } = world;
      const about = `${count} tenants, ${touched.length} of them asked`;
      figures[`${about}: p50 of a tenant's first request (ms)`] = firsts[i]!;
      if (world.pid !== null) figures[`${about}: resident memory (MB)`] = (await memoryOf(world.pid)).resident / MB;
      figures[`${about}: store (MB)`] = (await sizeOf(world.dataDir)) / MB;
      if (i === 0) continue;
      figures[`${count} tenants / ${COUNTS[0]}: p50 of a known tenant`] = medianRatio(measured[i]!, measured[0]!);
      figures[`${count} tenants / ${COUNTS[0]}: p50 of a known tenant, right after another request`] = medianRatio(
        atOnce[i]!,
        atOnce[0]!,
      );
      figures[`${count} tenants / ${COUNTS[0]}: p50 of a first request`] = firsts[i]! / firsts[0]!;
    }
    return figures;
  } finally {
    for (const { under } of worlds) await under.dispose();
  }
}

async function startWorld(count: number): Promise<World> {
  const touched = Array.from({ length: Math.min(count, MOST_TOUCHED) }, (_, i) => `tenant-${i}`);
  const runtimes = () => descendantsOf(process.pid).filter(({ command }) => command.includes('workerd serve'));
  const before = new Set(runtimes().map(({ pid }) => pid));
  let dataDir = '';
  const under = await startEdgeUnderTest({
    // With the caches of a deployment.
    entry: 'patient.ts',
    seed: false,
    limits: Object.fromEntries(touched.map((id) => [id, {}])),
    prepare: async (dir) => {
      dataDir = dir;
    },
  });
  const own = runtimes().find(({ pid }) => !before.has(pid));
  if (count > touched.length) await fillIndex(under, count - touched.length);
  return { count, under, dataDir, touched, pid: canMeasureMemory && own !== undefined ? own.pid : null };
}

/** Rows of tenants that nobody has asked for, with one key each, as the index writes them. */
async function fillIndex({ edge }: EdgeUnderTest, rows: number): Promise<void> {
  const index = await edge.miniflare.unsafeGetDurableObjectStorage('plimsoll-edge', 'TenantIndex', { name: 'index' });
  const numbers = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})`;
  await index.exec(
    `${numbers} INSERT INTO tenants (id, state, plan, audit_seq, audit_hash)
     SELECT 'unasked-' || i, 'live', NULL, 1, lower(hex(randomblob(32))) FROM n`,
  );
  await index.exec(
    `${numbers} INSERT INTO keys (sha256, tenant) SELECT lower(hex(randomblob(32))), 'unasked-' || i FROM n`,
  );
}

let asked = 0;

/**
 * The median latency of a round, each time of another tenant that has been asked before. It is
 * asked twice, since the isolate may have forgotten it after ten seconds. The first request may
 * also open the tenant's account again, and this runtime opens and writes all of them on one
 * thread: what comes `pauseMs` later waits for it, or does not.
 */
async function known(world: World, pauseMs: number): Promise<number> {
  const latencies: number[] = [];
  for (let i = 0; i < REQUESTS_A_ROUND; i++) {
    const tenant = world.touched[asked++ % world.touched.length]!;
    await timed(world, tenant);
    if (pauseMs > 0) await setTimeout(pauseMs);
    latencies.push(await timed(world, tenant));
  }
  return median(latencies);
}

async function timed({ under }: World, tenant: string): Promise<number> {
  const startedAt = performance.now();
  const answer = await post(under.edge, '/v1/chat/completions', { ...ask('Hi'), seed: 1 }, testKey(tenant));
  const text = await answer.text();
  if (!answer.ok) throw new Error(`the answer failed (${answer.status}): ${text.slice(0, 200)}`);
  return performance.now() - startedAt;
}

/** All files of a folder, in bytes. A database that closes meanwhile takes some of them away. */
async function sizeOf(dir: string): Promise<number> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = files.map(
    ({ parentPath, name }) => statSync(path.join(parentPath, name), { throwIfNoEntry: false })?.size ?? 0,
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
