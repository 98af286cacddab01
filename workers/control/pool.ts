/**
 * What `/admin/v1/pool` does: which backends there are, how they are, and which of them the
 * operator has drained. A backend is named by its URL.
 */
import * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import { BackendUrl, type ToldLoad } from '#shared/protocol/pool-report.ts';
import { type PoolListing, poolDirectory } from '../objects/pool-contract.ts';
import { type BackendState, stateOf } from '../objects/pool-membership.ts';
import type { AppContext, OperatorEnv } from '../request/context.ts';

type OperatorContext = Pick<AppContext<OperatorEnv>, 'env' | 'var'>;

/** What an isolate knows of a backend that it asks itself. */
export type AskedBackend = {
  url: string;
  alive: boolean;
  draining?: boolean;
  model: string | null;
  bundle: string | null;
  draws?: string | null;
  /** How busy it said it was, and when. */
  told?: (ToldLoad & { atMs: number }) | undefined;
};

export const DrainBody = z.strictObject({ url: BackendUrl });
export type DrainBody = z.infer<typeof DrainBody>;

export const States = z.enum(['up', 'loading', 'draining', 'out', 'gone'] satisfies BackendState[]);
const BackendAnswer = z.looseObject({
  url: z.string(),
  source: z.enum(['settings', 'registered']),
  state: States,
  drained: z.strictObject({ by: z.string(), at: z.string() }).nullable(),
  model: z.string().nullable(),
});
/** What `GET /admin/v1/pool` answers. A registered backend has more fields than others. */
export const PoolAnswer = z.strictObject({
  object: z.literal('list'),
  registration: z.boolean(),
  models: z.array(z.looseObject({ id: z.string(), backends: z.int(), up: z.int() })),
  data: z.array(BackendAnswer),
});
export const DrainAnswer = z.strictObject({ url: z.string(), drained: z.boolean(), changed: z.boolean() });

/**
 * Every backend that is in the settings or registers. What is said of one that does not register is
 * what this isolate has heard when it asked for its health.
 */
export async function listPool(c: OperatorContext, asked: readonly AskedBackend[]) {
  const listing = await reach(() => poolDirectory(c.env).list());
  const registered = listing.backends.map((backend) => describeRegistered(backend, listing));
  const known = new Set(registered.map(({ url }) => url));
  const others = asked.filter(({ url }) => !known.has(url)).map((backend) => describeAsked(backend, listing));
  return {
    object: 'list' as const,
    registration: c.var.config.registration,
    models: modelsOf([...others, ...registered]),
    data: [...others, ...registered],
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

function describeRegistered(
  { report, ageMs, heardAtMs, sinceMs }: PoolListing['backends'][number],
  listing: PoolListing,
) {
  const { url, backend, region, model, bundle = null, draws = null, experts, modes, second_look } = report;
  const { context_length, load, capacity, prefixes, heartbeat_ms } = report;
  return {
    url,
    source: 'registered' as const,
    state: stateOf(report, ageMs),
    drained: drainOf(url, listing),
    ...{ model, bundle, draws, backend, region, experts, modes, second_look, context_length },
    ...describeLoad({ ...load, capacity, prefixes }),
    heartbeat_ms,
    last_heard: new Date(heardAtMs).toISOString(),
    since: new Date(sinceMs).toISOString(),
  };
}
type Registered = ReturnType<typeof describeRegistered>;

function describeLoad({ running, waiting, rows, capacity, prefixes }: ToldLoad) {
  return {
    ...{ running, waiting, rows },
    max_rows: capacity.rows,
    max_waiting: capacity.waiting,
    prefixes: { ...prefixes, hit_rate: hitRate([prefixes]) },
  };
}
type Load = ReturnType<typeof describeLoad>;

function describeAsked(
  { url, alive, draining, model, bundle, draws = null, told }: AskedBackend,
  listing: PoolListing,
) {
  const state: BackendState = alive ? 'up' : draining === true ? 'draining' : 'out';
  const about = { url, source: 'settings' as const, state, drained: drainOf(url, listing), model, bundle, draws };
  if (told === undefined || state === 'out') return about;
  return { ...about, ...describeLoad(told), last_heard: new Date(told.atMs).toISOString() };
}
type Asked = ReturnType<typeof describeAsked>;

/** One line for each model. Sums are over the backends that get requests now and say their load. */
function modelsOf(backends: readonly (Registered | Asked)[]) {
  const models = [...new Set(backends.flatMap(({ model }) => model ?? []))].sort();
  return models.map((model) => {
    const own = backends.filter((backend) => backend.model === model);
    const up = own.filter(({ state, drained }) => state === 'up' && drained === null);
    const counted = up.flatMap((backend): Load[] => ('max_rows' in backend ? [backend] : []));
    const sum = (read: (load: Load) => number) => counted.reduce((total, each) => total + read(each), 0);
    return {
      id: model,
      backends: own.length,
      up: up.length,
      running: sum(({ running }) => running),
      waiting: sum(({ waiting }) => waiting),
      rows: sum(({ rows }) => rows),
      max_rows: sum(({ max_rows }) => max_rows),
      prefix_hit_rate: hitRate(counted.map(({ prefixes }) => prefixes)),
      // More than one of either, and the same request may get different answers.
      bundles: [...new Set(up.map(({ bundle }) => bundle))],
      draws: [...new Set(up.map(({ draws }) => draws))],
    };
  });
}

type Prefixes = { queried_tokens: number; found_tokens: number };

/** The share of prompts' tokens that kept prefixes had; null if none was looked for. */
function hitRate(prefixes: readonly Prefixes[]): number | null {
  const queried = prefixes.reduce((sum, { queried_tokens }) => sum + queried_tokens, 0);
  const found = prefixes.reduce((sum, { found_tokens }) => sum + found_tokens, 0);
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
