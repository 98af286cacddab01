/**
 * The settings, parsed once per isolate. If one is missing or broken, every route is closed: the
 * caller gets a 500 that says nothing, and the log says which setting it is (but never its value).
 */
import type { JSONWebKeySet } from 'jose';
import * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import { BackendUrl } from '#shared/protocol/pool-report.ts';
import type { Env } from './env.ts';

const json = z.string().transform((text, context): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    context.addIssue({ code: 'custom', message: 'is not JSON' });
    return z.NEVER;
  }
});

/**
 * Keeps only the public halves. Anything else that a key carries is dropped, so that a private part
 * pasted by mistake is not published.
 */
const PublicKeySet = z.object({
  keys: z
    .array(
      z
        .object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string().min(1), kid: z.string().min(1) })
        .transform((key) => ({ ...key, alg: 'EdDSA', use: 'sig' })),
    )
    .min(1),
});

const Settings = z.object({
  BACKENDS: json.pipe(z.array(BackendUrl)),
  POOL_REGISTRATION: z.enum(['on', 'off']).default('off'),
  DIRECTIVE_SECRET: z.string().min(32),
  RECEIPT_JWKS: json.pipe(PublicKeySet),
  OPERATOR_KEY_SHA256: z.string().regex(/^[0-9a-f]{64}$/),
});

export type Config = {
  /** May be empty only where backends register. */
  backends: readonly string[];
  /** Whether backends may register themselves. */
  registration: boolean;
  directiveKey: Uint8Array;
  receiptJwks: JSONWebKeySet;
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
  return {
    backends,
    registration,
    directiveKey: directiveKey(settings.data.DIRECTIVE_SECRET),
    receiptJwks: settings.data.RECEIPT_JWKS,
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
