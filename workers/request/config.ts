/**
 * The settings, parsed once per isolate. If one is missing or broken, every route is closed: the
 * caller gets a 500 that says nothing, and the log says which setting it is (but never its value).
 */
import type { JSONWebKeySet } from 'jose';
import * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import { MOST_AHEAD, MOST_TOP_K } from '#shared/protocol/expert-directive.ts';
import { BackendUrl } from '#shared/protocol/pool-report.ts';
import { OtlpEndpoint, OtlpHeaders, type OtlpSettings, TraceRatio } from '#shared/trace/otlp-settings.ts';
import { CorsOrigins } from './cors-origins.ts';
import type { Env } from './env.ts';
import { logWarning } from './log.ts';

const json = z.string().transform((text, context): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    context.addIssue({ code: 'custom', message: 'is not JSON' });
    return z.NEVER;
  }
});

const PublicHalf = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: z.string().min(1),
  kid: z.string().min(1),
});
/**
 * Keeps only the public half. Anything else that a key carries is dropped, so that a private part
 * pasted by mistake is not published.
 */
const PublicKey = PublicHalf.transform((key) => ({ ...key, alg: 'EdDSA', use: 'sig' }));
const PublicKeySet = z.object({ keys: z.array(PublicKey).min(1) });

const EdgePrivateKey = PublicHalf.extend({ d: z.string().min(1) });
/** Ed25519, RFC 8037: `x` is the public half, `d` the private one. */
export type EdgePrivateKey = z.infer<typeof EdgePrivateKey>;

/**
 * One private key, or a key set. The first key of a set signs, so it must be private. The others
 * are only published, so that receipts which they have signed can still be checked.
 */
const EdgeKeys = z
  .union([
    z.object({ keys: z.array(z.unknown()).min(1) }).transform(({ keys }) => keys),
    z.unknown().transform((key) => [key]),
  ])
  .pipe(z.tuple([EdgePrivateKey], PublicHalf));

const whole = z
  .string()
  .regex(/^\d+$/)
  .transform((digits) => Number(digits));
/** Beyond so many tokens, a row of a language model has next to no mass. */
const DEFAULT_TOP_K = 64;
const DEFAULT_AHEAD = 0;

const Settings = z
  .object({
    BACKENDS: json.pipe(z.array(BackendUrl)),
    HELPFULNESS_BACKENDS: json.pipe(z.array(BackendUrl)).default([]),
    POOL_REGISTRATION: z.enum(['on', 'off']).default('off'),
    DIRECTIVE_SECRET: z.string().min(32),
    RECEIPT_JWKS: json.pipe(PublicKeySet),
    EDGE_RECEIPT_JWK: json.pipe(EdgeKeys).optional(),
    EDGE_MIXING_TOP_K: z
      .union([z.literal('all').transform(() => null), whole.pipe(z.int().min(1).max(MOST_TOP_K))])
      .default(DEFAULT_TOP_K),
    EDGE_MIXING_AHEAD: whole.pipe(z.int().min(0).max(MOST_AHEAD)).default(DEFAULT_AHEAD),
    CORS_ORIGINS: CorsOrigins.default([]),
    LOG_REQUESTS: z.enum(['0', '1']).default('0'),
    OTEL_EXPORTER_OTLP_ENDPOINT: OtlpEndpoint.nullable().default(null),
    OTEL_EXPORTER_OTLP_HEADERS: OtlpHeaders.default({}),
    OTEL_TRACES_SAMPLER_ARG: TraceRatio.default(1),
    OPERATOR_KEY_SHA256: z.string().regex(/^[0-9a-f]{64}$/),
  })
  .superRefine(({ RECEIPT_JWKS, EDGE_RECEIPT_JWK = [] }, { addIssue }) => {
    // Else a receipt would be checked with whichever of the two comes first.
    const taken = EDGE_RECEIPT_JWK.find(({ kid }) => RECEIPT_JWKS.keys.some((key) => key.kid === kid));
    if (taken === undefined) return;
    addIssue({ code: 'custom', path: ['EDGE_RECEIPT_JWK'], message: 'a key has the kid of one in RECEIPT_JWKS' });
  });

export type Config = {
  /** May be empty only where backends register. */
  backends: readonly string[];
  /** Those that are members of the helpfulness pool, whatever they say of themselves. */
  helpfulnessBackends: readonly string[];
  /** Whether backends may register themselves. */
  registration: boolean;
  directiveKey: Uint8Array;
  /** The backends' keys. Only these vouch for a backend's answer. */
  receiptJwks: JSONWebKeySet;
  /** The backends' keys and the edge's own, for everybody. */
  publicJwks: JSONWebKeySet;
  /** Signs the edge's own receipts. null: there are none. */
  edgeKey: EdgePrivateKey | null;
  /** The origins whose pages in a browser may call the API. */
  corsOrigins: CorsOrigins;
  /** Whether the log has a line about each request. */
  logRequests: boolean;
  otlp: OtlpSettings;
  /** How the edge asks for rows where it mixes experts itself. */
  mixing: {
    /** How many of an expert's likeliest tokens a row has; null for all. */
    topK: number | null;
    /** How many positions an expert may run ahead. */
    ahead: number;
  };
  operatorKeySha256: string;
};

const NO_BACKEND =
  'BACKENDS: names no backend: a JSON array of their URLs is wanted, as in ["https://backend-1.example"], or POOL_REGISTRATION = "on"';

function readConfig(env: Env): Config {
  const settings = Settings.safeParse(env);
  if (!settings.success) {
    throw new PlimsollError('internal_error', 'The server is not configured.', {
      detail: settings.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`),
    });
  }
  const { BACKENDS: backends, POOL_REGISTRATION } = settings.data;
  const registration = POOL_REGISTRATION === 'on';
  if (backends.length === 0 && !registration) {
    throw new PlimsollError('internal_error', 'The server is not configured.', { detail: [NO_BACKEND] });
  }
  const { RECEIPT_JWKS: receiptJwks, EDGE_RECEIPT_JWK: edgeKeys = [] } = settings.data;
  const [edgeKey = null] = edgeKeys;
  if (edgeKey === null) {
    logWarning({ event: 'edge-receipts-off', message: 'EDGE_RECEIPT_JWK is not set, so a refusal has no receipt' });
  }
  return {
    backends,
    helpfulnessBackends: settings.data.HELPFULNESS_BACKENDS,
    registration,
    directiveKey: directiveKey(settings.data.DIRECTIVE_SECRET),
    receiptJwks,
    publicJwks: { keys: [...receiptJwks.keys, ...edgeKeys.map((key) => PublicKey.parse(key))] },
    edgeKey,
    corsOrigins: settings.data.CORS_ORIGINS,
    logRequests: settings.data.LOG_REQUESTS === '1',
    otlp: {
      endpoint: settings.data.OTEL_EXPORTER_OTLP_ENDPOINT,
      headers: settings.data.OTEL_EXPORTER_OTLP_HEADERS,
      ratio: settings.data.OTEL_TRACES_SAMPLER_ARG,
    },
    mixing: { topK: settings.data.EDGE_MIXING_TOP_K, ahead: settings.data.EDGE_MIXING_AHEAD },
    operatorKeySha256: settings.data.OPERATOR_KEY_SHA256,
  };
}

/** Memoised by the `env` object, which lives as long as its isolate. */
export function createConfigReader(): (env: Env) => Config {
  const known = new WeakMap<Env, Config>();
  return (env) => {
    const config = known.get(env) ?? readConfig(env);
    known.set(env, config);
    return config;
  };
}
