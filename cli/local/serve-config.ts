/** The settings of `serve`, read from the environment once, at the start. */
import { availableParallelism } from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import { ProviderChoice } from '#gpu-backend/graph/provider.ts';
import { settingProblems, variablesFor } from '#gpu-backend/server/config.ts';
import { parseHostNames } from '#shared/api/host-names.ts';
import { CorsOrigins } from '#workers/request/cors-origins.ts';
import { type BackendFlags, backendVariables, optionOf } from '../options/backend-options.ts';
import { defaultFolder } from '../options/installed.ts';

const DEFAULT_DATA = defaultFolder({ checkout: '.plimsoll', release: '.plimsoll' });

const whole = (text: string) => (/^\d+$/.test(text) ? Number(text) : Number.NaN);
/** Splits at commas, and where the system's own lists of folders are split. */
const folders = (text: string) => text.split(new RegExp(`[,${path.delimiter}]`)).flatMap((dir) => dir.trim() || []);

const Environment = z.object({
  PORT: z
    .string()
    .default('8787')
    .transform(whole)
    .pipe(z.int('a port is a number from 0 to 65535').max(65_535, 'a port is a number from 0 to 65535')),
  PLIMSOLL_BACKENDS: z
    .string()
    .default('1')
    .transform(whole)
    .pipe(z.int('how many backends to run, 1 or more').min(1, 'how many backends to run, 1 or more')),
  PLIMSOLL_DATA: z.string().default(DEFAULT_DATA),
  PLIMSOLL_BUNDLE: z.string().optional(),
  PLIMSOLL_BUNDLES: z.string().transform(folders).optional(),
  PLIMSOLL_IDLE_UNLOAD_MINUTES: z
    .string()
    .transform((text) => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN))
    .pipe(z.number('minutes, as in 15 or 0.5; 0 means never').max(35_000, 'at most 35000 minutes; 0 means never'))
    .optional(),
  PLIMSOLL_THREADS: z.string().optional(),
  PLIMSOLL_PROVIDER: ProviderChoice.default('cpu'),
  PLIMSOLL_CONTEXT: z
    .string()
    .transform(whole)
    .pipe(z.int('tokens of prompt and answer together, 16 or more').min(16, 'wanted 16 tokens or more'))
    .optional(),
  PLIMSOLL_TENANTS: z.string().optional(),
  PLIMSOLL_CORS: CorsOrigins.default(['loopback']),
  PLIMSOLL_NO_PULL: z
    .enum(['0', '1'], '1 fetches no model, 0 (the default) may fetch one')
    .default('0')
    .transform((value) => value === '1'),
  PLIMSOLL_NAMES: z
    .string()
    .default('')
    .transform(parseHostNames)
    .pipe(
      z.array(
        z.string().regex(/^[a-z0-9._-]+$/, 'host names without ports, by commas, as in: plimsoll.test,my-laptop'),
      ),
    ),
});

export type ServeConfig = {
  /** 0 takes any free port. */
  port: number;
  /** For each bundle. */
  backends: number;
  dataDir: string;
  /** The folders that were named; null if none was. */
  bundles: readonly string[] | null;
  /**
   * How long nobody must have asked a bundle before it gives its memory back; 0 means never. null
   * if it was not set.
   */
  idleUnloadMinutes: number | null;
  /** Host names that the edge answers to, besides this machine's own. */
  moreNames: readonly string[];
  /** The origins whose pages in a browser may call the API. */
  corsOrigins: CorsOrigins;
  /** Threads of each backend. */
  threads: string;
  /** What runs the models of all backends. */
  provider: ProviderChoice;
  /**
   * Tokens of prompt and answer together. A model with fewer takes its own. null means what memory
   * allows.
   */
  context: number | null;
  /** Settings that each backend gets as they are, by variable; empty if not set. */
  variables: Readonly<Record<string, string>>;
  /** Whether a start that names no bundle may fetch a model. */
  pull: boolean;
  /** The folder of tenants to put into the edge's store; null if none was named. */
  tenants: string | null;
};

type ServeOptions = BackendFlags & {
  port?: string | undefined;
  bundles?: readonly string[];
  pull?: boolean;
  tenants?: string | undefined;
};

/** What only backends read. `serve` checks it too, so that a mistake stops the start at once. */
const OF_BACKENDS = ['kvBytes', 'prefixCache', 'publicPrefixes', 'speculation'] as const;

/** Reads the settings. An option overrides the environment. */
export function readServeConfig(
  env: Readonly<Record<string, string | undefined>>,
  { port, bundles = [], pull = true, tenants, ...flags }: ServeOptions = {},
): ServeConfig {
  const options = {
    ...(port !== undefined && { PORT: port }),
    ...(tenants !== undefined && { PLIMSOLL_TENANTS: tenants }),
    ...backendVariables(flags),
  };
  // An empty variable counts as not set.
  const given = Object.fromEntries(Object.entries({ ...env, ...options }).filter(([, value]) => value !== ''));
  const parsed = Environment.safeParse(given);
  const problems = [
    ...(parsed.error?.issues ?? []).map(({ path, message }) => ({ variable: String(path[0]), why: message })),
    ...settingProblems(given, OF_BACKENDS),
  ];
  if (!parsed.success || problems.length > 0) {
    const optionFor = (variable: string) => (variable === 'PORT' ? '--port' : optionOf(variable));
    const nameOf = (variable: string) => (variable in options && optionFor(variable)) || variable;
    throw new Error(problems.map(({ variable, why }) => `${nameOf(variable)}: ${why}`).join('\n'));
  }
  const { PORT, PLIMSOLL_BACKENDS, PLIMSOLL_DATA, PLIMSOLL_THREADS, PLIMSOLL_PROVIDER, PLIMSOLL_NAMES } = parsed.data;
  const { PLIMSOLL_CONTEXT, PLIMSOLL_BUNDLE, PLIMSOLL_BUNDLES, PLIMSOLL_IDLE_UNLOAD_MINUTES } = parsed.data;
  const { PLIMSOLL_NO_PULL, PLIMSOLL_TENANTS, PLIMSOLL_CORS } = parsed.data;
  if (PLIMSOLL_BUNDLE !== undefined && PLIMSOLL_BUNDLES !== undefined) {
    throw new Error('PLIMSOLL_BUNDLES: found it beside PLIMSOLL_BUNDLE, wanted only one of the two');
  }
  const listed = PLIMSOLL_BUNDLES ?? (PLIMSOLL_BUNDLE === undefined ? [] : [PLIMSOLL_BUNDLE]);
  const named = bundles.length > 0 ? bundles : listed;
  // Several backends that each use every core only get in each other's way. Those of another bundle
  // are not counted, because one that nobody asks uses none.
  const share = PLIMSOLL_BACKENDS === 1 ? 0 : Math.max(1, Math.floor(availableParallelism() / PLIMSOLL_BACKENDS));
  return {
    port: PORT,
    backends: PLIMSOLL_BACKENDS,
    dataDir: path.resolve(PLIMSOLL_DATA),
    bundles: named.length === 0 ? null : named.map((dir) => path.resolve(dir)),
    idleUnloadMinutes: PLIMSOLL_IDLE_UNLOAD_MINUTES ?? null,
    moreNames: PLIMSOLL_NAMES,
    corsOrigins: PLIMSOLL_CORS,
    threads: PLIMSOLL_THREADS ?? String(share),
    provider: PLIMSOLL_PROVIDER,
    context: PLIMSOLL_CONTEXT ?? null,
    variables: variablesFor(given, OF_BACKENDS),
    pull: pull && !PLIMSOLL_NO_PULL,
    tenants: PLIMSOLL_TENANTS === undefined ? null : path.resolve(PLIMSOLL_TENANTS),
  };
}
