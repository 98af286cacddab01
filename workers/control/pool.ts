/**
 * What `/admin/v1/pool` does: which backends there are, how they are, and which of them the
 * operator has drained. A backend is named by its URL.
 */
import * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import { BackendUrl, type PoolReport } from '#shared/protocol/pool-report.ts';
import { type PoolListing, poolDirectory } from '../objects/pool-contract.ts';
import { stateOf } from '../objects/pool-membership.ts';
import type { AppContext, OperatorEnv } from '../request/context.ts';

type OperatorContext = Pick<AppContext<OperatorEnv>, 'env' | 'var'>;

export const DrainBody = z.strictObject({ url: BackendUrl });
export type DrainBody = z.infer<typeof DrainBody>;

/**
 * Every backend that is in the settings or registers, and every drain. Of a backend that does not
 * register, only its URL is known here: each isolate asks it for itself.
 */
export async function listPool(c: OperatorContext) {
  const listing = await reach(() => poolDirectory(c.env).list());
  const { backends: urls, registration } = c.var.config;
  const registered = listing.backends.map((backend) => describe(backend, listing));
  const known = new Set(registered.map(({ url }) => url));
  const fixed = urls
    .filter((url) => !known.has(url))
    .map((url) => ({ url, source: 'settings' as const, drained: drainOf(url, listing) }));
  return {
    object: 'list' as const,
    registration,
    models: modelsOf(listing),
    data: [...fixed, ...registered],
  };
}

/** Whether this changed anything. A backend need not be known to be drained. */
export async function drainBackend({ url }: DrainBody, c: OperatorContext) {
  if (!c.var.config.registration) {
    const why = 'Nobody would see the drain: this edge reads no pool directory. POOL_REGISTRATION "on" changes that.';
    throw new PlimsollError('invalid_request', why);
  }
  const changed = await reach(() => poolDirectory(c.env).drain(url, c.var.operator));
  return { url, drained: true, changed };
}

export async function undrainBackend({ url }: DrainBody, c: OperatorContext) {
  const changed = await reach(() => poolDirectory(c.env).undrain(url));
  return { url, drained: false, changed };
}

function describe({ report, ageMs, heardAtMs, sinceMs }: PoolListing['backends'][number], listing: PoolListing) {
  const { url, backend, region, model, bundle, draws, experts, modes, second_look, context_length } = report;
  const { load, capacity, prefixes, heartbeat_ms } = report;
  return {
    url,
    source: 'registered' as const,
    ...{ backend, region, model, bundle, draws, experts, modes, second_look, context_length },
    state: stateOf(report, ageMs),
    drained: drainOf(url, listing),
    running: load.running,
    waiting: load.waiting,
    rows: load.rows,
    max_rows: capacity.rows,
    max_waiting: capacity.waiting,
    prefixes: { ...prefixes, hit_rate: hitRate([report]) },
    heartbeat_ms,
    last_heard: new Date(heardAtMs).toISOString(),
    since: new Date(sinceMs).toISOString(),
  };
}

/** One line for each model, over the backends that serve it now. */
function modelsOf({ backends, drains }: PoolListing) {
  const drained = new Set(drains.map(({ url }) => url));
  const models = [...new Set(backends.map(({ report }) => report.model))].sort();
  return models.map((model) => {
    const own = backends.filter(({ report }) => report.model === model);
    const up = own
      .filter(({ report, ageMs }) => stateOf(report, ageMs) === 'up' && !drained.has(report.url))
      .map(({ report }) => report);
    const sum = (read: (report: PoolReport) => number) => up.reduce((total, report) => total + read(report), 0);
    return {
      id: model,
      backends: own.length,
      up: up.length,
      running: sum(({ load }) => load.running),
      waiting: sum(({ load }) => load.waiting),
      rows: sum(({ load }) => load.rows),
      max_rows: sum(({ capacity }) => capacity.rows),
      prefix_hit_rate: hitRate(up),
      // More than one of either, and the same request may get different answers.
      bundles: [...new Set(up.map(({ bundle = null }) => bundle))],
      draws: [...new Set(up.map(({ draws = null }) => draws))],
    };
  });
}

/** The share of prompts' tokens that kept prefixes had; null if none was looked for. */
function hitRate(reports: readonly Pick<PoolReport, 'prefixes'>[]): number | null {
  const queried = reports.reduce((sum, { prefixes }) => sum + prefixes.queried_tokens, 0);
  const found = reports.reduce((sum, { prefixes }) => sum + prefixes.found_tokens, 0);
  return queried === 0 ? null : found / queried;
}

function drainOf(url: string, { drains }: PoolListing): { by: string; at: string } | null {
  const drain = drains.find((one) => one.url === url);
  return drain === undefined ? null : { by: drain.by, at: new Date(drain.atMs).toISOString() };
}

async function reach<T>(ask: () => Promise<T>): Promise<T> {
  return ask().catch((cause: unknown) => {
    throw new PlimsollError('backend_unavailable', 'The pool directory cannot be reached.', { cause });
  });
}
