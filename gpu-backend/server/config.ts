/**
 * The backend's settings, read from the environment once at start into one checked value. Nothing
 * below reads `process.env`.
 */
import * as z from 'zod';
import { parseHostNames } from '#shared/api/host-names.ts';
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

export const BackendConfig = z.strictObject({
  /** The folder of the bundle to serve. */
  bundle: z.string().min(1),
  host: z.string().min(1).default('127.0.0.1'),
  /** 0 means any free port. */
  port: z.int().min(0).max(65_535).default(8788),
  /** Shared with the edge, which signs directives with it. */
  directiveSecret: z.string().refine((secret) => Buffer.byteLength(secret) >= 32, 'needs at least 32 bytes'),
  /** Draws depend on it. All backends of a deployment share it, and nobody else has it. */
  drawSecret: z.string().refine((secret) => Buffer.byteLength(secret) >= 32, 'needs at least 32 bytes'),
  receiptPrivateJwk: ReceiptPrivateJwk,
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
});
export type BackendConfig = z.infer<typeof BackendConfig>;
/** The options for starting a backend from code. Everything with a default is optional. */
export type BackendOptions = z.input<typeof BackendConfig>;

const json = z.string().transform((text, context): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    context.addIssue({ code: 'custom', message: 'not JSON' });
    return z.NEVER;
  }
});

/**
 * Maps each setting to its variable, under the name that the documentation uses. If there are two
 * variables, the first one that is set counts.
 */
const VARIABLES = {
  bundle: ['PLIMSOLL_BUNDLE'],
  host: ['PLIMSOLL_BACKEND_HOST'],
  port: ['PLIMSOLL_BACKEND_PORT', 'PORT'],
  directiveSecret: ['PLIMSOLL_DIRECTIVE_SECRET'],
  drawSecret: ['PLIMSOLL_DRAW_SECRET'],
  receiptPrivateJwk: ['PLIMSOLL_RECEIPT_PRIVATE_JWK'],
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
  graceMs: ['PLIMSOLL_GRACE_MS'],
  idleUnloadMinutes: ['PLIMSOLL_IDLE_UNLOAD_MINUTES'],
  bodyLimitBytes: ['PLIMSOLL_BODY_LIMIT_BYTES'],
  hostNames: ['PLIMSOLL_BACKEND_NAMES'],
} as const satisfies Record<keyof BackendConfig, readonly string[]>;

const NUMBERS: ReadonlySet<string> = new Set([
  'port',
  'threads',
  'context',
  'kvBytes',
  'prefixCache',
  'maxRows',
  'maxWaiting',
  'graceMs',
  'idleUnloadMinutes',
  'bodyLimitBytes',
]);

/** A text of spaces is not a number, whatever `Number` says. */
const toNumber = (text: string) => (text.trim() === '' ? Number.NaN : Number(text));

/**
 * Throws an Error that names every variable that is missing or wrong. It never repeats the value of
 * a secret.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): BackendConfig {
  const raw: Record<string, unknown> = {};
  const problems: string[] = [];
  for (const [setting, names] of Object.entries(VARIABLES)) {
    const text = names.map((name) => env[name]).find((value) => value !== undefined && value !== '');
    if (text === undefined) continue;
    if (setting === 'receiptPrivateJwk') {
      const jwk = json.safeParse(text);
      if (jwk.success) raw[setting] = jwk.data;
      else problems.push(`${names[0]}: not JSON`);
    } else if (setting === 'hostNames') {
      raw[setting] = parseHostNames(text);
    } else raw[setting] = NUMBERS.has(setting) ? toNumber(text) : text;
  }
  const parsed = BackendConfig.safeParse(raw);
  if (parsed.success && problems.length === 0) return parsed.data;
  for (const { path, message } of parsed.error?.issues ?? []) {
    const [setting, ...rest] = path;
    const name = VARIABLES[setting as keyof BackendConfig][0];
    if (!problems.some((problem) => problem.startsWith(`${name}:`))) {
      const value = raw[setting as string];
      const what = value === undefined ? 'is not set' : [...rest, message].join(': ');
      problems.push(`${name}: ${Number.isNaN(value) ? `found ${JSON.stringify(env[name])}, wanted a number` : what}`);
    }
  }
  throw new Error(`the backend's settings are not usable\n  ${problems.join('\n  ')}`);
}
