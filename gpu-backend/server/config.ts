/**
 * The backend's settings, read from the environment once at start into one checked value. Nothing
 * below reads `process.env`.
 */
import * as z from 'zod';
import { parseHostNames } from '#shared/api/host-names.ts';
import { BackendUrl } from '#shared/protocol/pool-report.ts';
import { isHelpfulnessSecret } from '#shared/protocol/pool-secret.ts';
import { REGIONS } from '#shared/protocol/regions.ts';
import { OtlpEndpoint, OtlpHeaders } from '#shared/trace/otlp-settings.ts';
import { ProviderChoice } from '../graph/provider.ts';

/** Ed25519, RFC 8037: `x` is the public half, `d` the private one. */
export const ReceiptPrivateJwk = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: z.string().min(1),
  d: z.string().min(1),
  /**
   * The key's name in receipt headers. Without it, receipts name the key by its thumbprint (RFC
   * 7638).
   */
  kid: z.string().min(1).optional(),
});
export type ReceiptPrivateJwk = z.infer<typeof ReceiptPrivateJwk>;

const isHeaders = (text: string) => OtlpHeaders.safeParse(text).success;

const Secret = z.string().refine((secret) => Buffer.byteLength(secret) >= 32, 'needs at least 32 bytes');

const Settings = z.strictObject({
  /** The folder of the bundle to serve. */
  bundle: z.string().min(1),
  /**
   * The file that says where a remote bundle's experts run (remote/engines-file.ts). null: the
   * bundle has weights.
   */
  engines: z.string().min(1).nullable().default(null),
  host: z.string().min(1).default('127.0.0.1'),
  /** 0 means any free port. */
  port: z.int().min(0).max(65_535).default(8788),
  /**
   * Shared with the edge, which signs directives with it. A backend of the helpfulness pool has
   * that pool's own in its place (pool-secret.ts).
   */
  directiveSecret: Secret,
  /** Directives under these are taken too, while the secret is being changed. */
  oldDirectiveSecrets: z.array(Secret).default([]),
  /**
   * Draws depend on it. All backends of a deployment share it, but those of the helpfulness pool.
   * Nobody else has it.
   */
  drawSecret: Secret.nullable().default(null),
  /** Answers that began under one of these go on under it. New ones never begin under them. */
  oldDrawSecrets: z.array(Secret).default([]),
  /** Signs receipts. A backend of the helpfulness pool signs none. */
  receiptPrivateJwk: ReceiptPrivateJwk.nullable().default(null),
  /**
   * `all`: it answers, and gives rows of both experts to edges that mix them. With one expert, it
   * only gives that one's rows: it is a member of that expert's pool.
   */
  serves: z.enum(['all', 'safety', 'helpfulness']).default('all'),
  /** This backend's name in answers and receipts. */
  backendId: z.string().min(1).default('local'),
  /** The threads that onnxruntime uses inside one operator; 0 means one per core. */
  threads: z.int().min(0).max(1024).default(0),
  /** What runs the graphs. Answers differ in their last digits from one to another. */
  provider: ProviderChoice.default('cpu'),
  /** Tokens of prompt and answer together. null means what memory allows, at most the model's. */
  context: z.int().min(16).nullable().default(null),
  /** Bytes for the keys and values of all requests. null means most of the free memory. */
  kvBytes: z.int().min(1).nullable().default(null),
  /**
   * Bytes for prefixes that are kept for later requests. null means half of the memory that keys
   * and values leave, at most an eighth of what the weights leave; 0 keeps none.
   */
  prefixCache: z.int().min(0).nullable().default(null),
  /** A file with a JSON list of system prompts that all tenants share. */
  publicPrefixes: z.string().min(1).nullable().default(null),
  /**
   * Whether answers that repeat their prompt are read ahead, where that pays. `auto` is on
   * only for bundles whose arithmetic lets next to no answer differ; see choose-speculation.ts.
   */
  speculation: z.enum(['auto', 'on', 'off']).default('auto'),
  /** Rows in one batch. An answer takes one for each expert that it asks: one or two. */
  maxRows: z.int().min(2).max(2048).default(32),
  /**
   * How many requests may wait before new ones are told to try again later. A tenant below its
   * share may still queue, up to twice this number in all.
   */
  maxWaiting: z.int().min(1).default(64),
  /** The edge to register with; null: the edge has it in its own settings. */
  register: z
    .url({ protocol: /^https?$/ })
    .nullable()
    .default(null),
  /** Where edges reach this backend. null means where it listens. */
  publicUrl: BackendUrl.nullable().default(null),
  /** Where in the world it is. */
  region: z.enum(REGIONS).nullable().default(null),
  /** How often a registered backend says that it is there. */
  heartbeatMs: z.int().min(100).max(60_000).default(5000),
  /** How long running answers may go on once the backend is told to stop. */
  graceMs: z.number().min(0).default(5000),
  /**
   * After this many minutes without a request, the engine gives its memory back. The next request
   * loads it again. 0 means never. A timer of Node cannot count further than 24 days.
   */
  idleUnloadMinutes: z.number().min(0).max(35_000, 'at most 35000 minutes; 0 means never').default(0),
  /** A context of 100,000 tokens takes about half of it. More is a mistake or an attack. */
  bodyLimitBytes: z
    .int()
    .min(1)
    .default(1 << 20),
  /** The only host names to answer to; null means any. */
  hostNames: z.array(z.string()).min(1).nullable().default(null),
  /** One JSON object a line for a log collector, or plain text for people. */
  log: z.enum(['json', 'text']).default('json'),
  /** `1`: the log has a line about each request. */
  logRequests: z.enum(['0', '1']).default('0'),
  /** Where spans go, by OpenTelemetry's names; null: nowhere. */
  otlpEndpoint: OtlpEndpoint.nullable().default(null),
  otlpHeaders: z.string().refine(isHeaders, 'wanted name=value, separated by commas').default(''),
  /** Which share of the traces that begin here is sent. */
  traceRatio: z.number().min(0).max(1).default(1),
});

/** The settings, checked one by one and together. */
export const BackendConfig = Settings.superRefine((config, { addIssue }) => {
  for (const [setting, message] of secretProblems(config)) addIssue({ code: 'custom', path: [setting], message });
});
export type BackendConfig = z.infer<typeof BackendConfig>;

const SECRETS = [
  'directiveSecret',
  'oldDirectiveSecrets',
  'drawSecret',
  'oldDrawSecrets',
  'receiptPrivateJwk',
] as const satisfies (keyof BackendConfig)[];

/**
 * Which secrets a backend lacks, and which it must not have: the helpfulness pool may be other
 * people's, so whatever lets it know a draw or speak for others is kept from it. The settings need
 * not have been checked.
 */
function secretProblems(
  settings: { serves?: unknown } & Partial<Record<(typeof SECRETS)[number], unknown>>,
): [setting: (typeof SECRETS)[number], why: string][] {
  const isMember = settings.serves === 'helpfulness';
  return SECRETS.flatMap((setting): [(typeof SECRETS)[number], string][] => {
    const given = [settings[setting] ?? []].flat();
    if (setting === 'directiveSecret' || setting === 'oldDirectiveSecrets') {
      const isRight = given.every((secret) => isHelpfulnessSecret(String(secret)) === isMember);
      return isRight ? [] : [[setting, isMember ? OWN_SECRET : ONLY_HELPFUL]];
    }
    if (isMember) return given.length === 0 ? [] : [[setting, NOT_HERE]];
    return given.length > 0 || setting === 'oldDrawSecrets' ? [] : [[setting, 'is not set']];
  });
}

const OWN_SECRET =
  'is not the helpfulness pool\'s own, which begins with "helpfulness."; docs/edge-mixing.md says how to make it';
const ONLY_HELPFUL = 'is the helpfulness pool\'s own, and PLIMSOLL_SERVES is not "helpfulness"';
const NOT_HERE =
  'must not be set where PLIMSOLL_SERVES is "helpfulness": that pool must not know a draw, and signs nothing';
/** The options for starting a backend from code. Everything with a default is optional. */
export type BackendOptions = z.input<typeof BackendConfig>;

/**
 * Maps each setting to its variable, under the name that the documentation uses. If there are two
 * variables, the first one that is set counts.
 */
const VARIABLES = {
  bundle: ['PLIMSOLL_BUNDLE'],
  engines: ['PLIMSOLL_ENGINES'],
  host: ['PLIMSOLL_BACKEND_HOST'],
  port: ['PLIMSOLL_BACKEND_PORT', 'PORT'],
  directiveSecret: ['PLIMSOLL_DIRECTIVE_SECRET'],
  oldDirectiveSecrets: ['PLIMSOLL_OLD_DIRECTIVE_SECRETS'],
  drawSecret: ['PLIMSOLL_DRAW_SECRET'],
  oldDrawSecrets: ['PLIMSOLL_OLD_DRAW_SECRETS'],
  receiptPrivateJwk: ['PLIMSOLL_RECEIPT_PRIVATE_JWK'],
  serves: ['PLIMSOLL_SERVES'],
  backendId: ['PLIMSOLL_BACKEND_ID'],
  threads: ['PLIMSOLL_THREADS'],
  provider: ['PLIMSOLL_PROVIDER'],
  context: ['PLIMSOLL_CONTEXT'],
  kvBytes: ['PLIMSOLL_KV_BYTES'],
  prefixCache: ['PLIMSOLL_PREFIX_CACHE'],
  publicPrefixes: ['PLIMSOLL_PUBLIC_PREFIXES'],
  speculation: ['PLIMSOLL_SPECULATION'],
  maxRows: ['PLIMSOLL_MAX_ROWS'],
  maxWaiting: ['PLIMSOLL_MAX_WAITING'],
  register: ['PLIMSOLL_REGISTER'],
  publicUrl: ['PLIMSOLL_BACKEND_URL'],
  region: ['PLIMSOLL_REGION'],
  heartbeatMs: ['PLIMSOLL_HEARTBEAT_MS'],
  graceMs: ['PLIMSOLL_GRACE_MS'],
  idleUnloadMinutes: ['PLIMSOLL_IDLE_UNLOAD_MINUTES'],
  bodyLimitBytes: ['PLIMSOLL_BODY_LIMIT_BYTES'],
  hostNames: ['PLIMSOLL_BACKEND_NAMES'],
  log: ['PLIMSOLL_LOG'],
  logRequests: ['PLIMSOLL_LOG_REQUESTS'],
  otlpEndpoint: ['OTEL_EXPORTER_OTLP_ENDPOINT'],
  otlpHeaders: ['OTEL_EXPORTER_OTLP_HEADERS'],
  traceRatio: ['OTEL_TRACES_SAMPLER_ARG'],
} as const satisfies Record<keyof BackendConfig, readonly string[]>;

const NUMBERS: ReadonlySet<string> = new Set([
  'port',
  'threads',
  'context',
  'kvBytes',
  'prefixCache',
  'maxRows',
  'maxWaiting',
  'heartbeatMs',
  'graceMs',
  'idleUnloadMinutes',
  'bodyLimitBytes',
  'traceRatio',
]);

/** Hosts that stand for all addresses of a machine. */
const EVERY_ADDRESS: ReadonlySet<string> = new Set(['0.0.0.0', '::', '[::]']);

const JSONS: ReadonlySet<string> = new Set(['receiptPrivateJwk', 'oldDirectiveSecrets', 'oldDrawSecrets']);

type Environment = Readonly<Record<string, string | undefined>>;

/** The variable of a setting, and what is wrong with it. It never has the value of a secret. */
type SettingProblem = { variable: string; why: string };

// The cast is safe: the keys are the object's own.
const SETTINGS = Object.keys(VARIABLES) as (keyof BackendConfig)[];

/** Throws an Error that names every variable that is missing or wrong. */
export function readConfig(env: Environment): BackendConfig {
  const problems = settingProblems(env).map(({ variable, why }) => `${variable}: ${why}`);
  const { host, register, publicUrl } = Object.fromEntries(
    (['host', 'register', 'publicUrl'] as const).map((setting) => [setting, givenText(setting, env)]),
  );
  if (register !== undefined && publicUrl === undefined && EVERY_ADDRESS.has(host ?? '')) {
    problems.push(
      `PLIMSOLL_BACKEND_URL: is not set, and ${host} is no address to be reached at; the edge needs this backend's URL`,
    );
  }
  const settings = Object.fromEntries(SETTINGS.map((setting) => [setting, rawSetting(setting, env)]));
  problems.push(...secretProblems(settings).map(([setting, why]) => `${VARIABLES[setting][0]}: ${why}`));
  if (problems.length > 0) throw new Error(`the backend's settings are not usable\n  ${problems.join('\n  ')}`);
  return BackendConfig.parse(settings);
}

/** What is wrong with these settings, in the same words as `readConfig` has. */
export function settingProblems(
  env: Environment,
  settings: readonly (keyof BackendConfig)[] = SETTINGS,
): SettingProblem[] {
  return settings.flatMap((setting) => {
    const why = problemOf(setting, env);
    return why === null ? [] : [{ variable: VARIABLES[setting][0], why }];
  });
}

/**
 * The variables of these settings, for a backend's process. One that is not set is empty, so that
 * the process does not inherit another value for it.
 */
export function variablesFor(env: Environment, settings: readonly (keyof BackendConfig)[]): Record<string, string> {
  const names = settings.flatMap((setting): readonly string[] => VARIABLES[setting]);
  return Object.fromEntries(names.map((name) => [name, env[name] ?? '']));
}

function problemOf(setting: keyof BackendConfig, env: Environment): string | null {
  const raw = rawSetting(setting, env);
  if (raw === NOT_JSON) return 'not JSON';
  const schema: z.ZodType = Settings.shape[setting];
  const { error } = schema.safeParse(raw);
  const issue = error?.issues[0];
  if (issue === undefined) return null;
  if (raw === undefined) return 'is not set';
  if (Number.isNaN(raw)) return `found ${JSON.stringify(givenText(setting, env))}, wanted a number`;
  return [...issue.path, issue.message].join(': ');
}

/** An empty variable counts as not set. */
function givenText(setting: keyof BackendConfig, env: Environment): string | undefined {
  return VARIABLES[setting].map((name) => env[name]).find((value) => value !== undefined && value !== '');
}

const NOT_JSON = Symbol('not JSON');

/** Its value before it is checked; undefined if it is not set. */
function rawSetting(setting: keyof BackendConfig, env: Environment): unknown {
  const text = givenText(setting, env);
  if (text === undefined) return undefined;
  if (JSONS.has(setting)) return parseJson(text);
  if (setting === 'hostNames') return parseHostNames(text);
  return NUMBERS.has(setting) ? toNumber(text) : text;
}

/** A text of spaces is not a number, whatever `Number` says. */
const toNumber = (text: string) => (text.trim() === '' ? Number.NaN : Number(text));

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return NOT_JSON;
  }
}
