/**
 * The heartbeat: how a backend tells the edge that it is there. It is a compact JWS (HS256) in the
 * Authorization header. Its key is derived from the directive secret under a label of its own, so
 * no heartbeat passes for a directive, and no directive for a heartbeat. The helpfulness pool's
 * backends sign with a key from that pool's own secret, and speak for that pool only.
 *
 * A copy of a heartbeat must not bring a dead backend back. So each one has a time, and is too old
 * after 30 seconds. Within these, the directory compares incarnation and counter, and takes none
 * that is not newer than the last (workers/objects/pool-membership.ts).
 */
import { errors as joseErrors, jwtVerify, SignJWT } from 'jose';
import * as z from 'zod';
import { PlimsollError } from '#shared/api/errors.ts';
import { derivedKey } from './derived-key.ts';
import { PoolReport } from './pool-report.ts';
import { helpfulnessKey } from './pool-secret.ts';

/** Where the edge takes heartbeats. */
export const HEARTBEAT_PATH = '/pool/v1/heartbeat';
/** As long as a directive lives. The clocks of edge and backends may differ by as much. */
export const HEARTBEAT_TTL_SECONDS = 30;
/** A backend is out once it has missed this many heartbeats in a row. */
export const MISSED_HEARTBEATS = 3;

const ISSUER = 'plimsoll-backend';
const AUDIENCE = 'plimsoll-pool';
const TYP = 'plimsoll-heartbeat+jwt';

export const Heartbeat = z.object({
  /** When the backend's process started, in Unix milliseconds: a later one replaces this one. */
  incarnation: z.int().min(0),
  /** Counts this incarnation's heartbeats. */
  counter: z.int().min(1),
  report: PoolReport,
});
export type Heartbeat = z.infer<typeof Heartbeat>;

/** What the edge answers. */
export const HeartbeatReply = z.object({
  /** Whether the operator has drained this backend. It takes nothing new while this is true. */
  drain: z.boolean(),
});
export type HeartbeatReply = z.infer<typeof HeartbeatReply>;

export const heartbeatKey = (directiveKey: Uint8Array) => derivedKey('plimsoll-heartbeat/1', directiveKey);

export async function signHeartbeat(
  heartbeat: z.input<typeof Heartbeat>,
  key: Uint8Array,
  now: Date = new Date(),
): Promise<string> {
  const issuedAt = Math.floor(now.getTime() / 1000);
  return new SignJWT({ ...heartbeat })
    .setProtectedHeader({ alg: 'HS256', typ: TYP })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + HEARTBEAT_TTL_SECONDS)
    .sign(key);
}

/**
 * A heartbeat under the deployment's directive secret, or under the helpfulness pool's own. In the
 * latter case its report says so.
 */
export async function verifyAnyHeartbeat(
  token: string,
  directiveKey: Uint8Array,
  now = new Date(),
): Promise<Heartbeat> {
  try {
    return await verifyHeartbeat(token, await heartbeatKey(directiveKey), now);
  } catch (thrown) {
    const isOthers =
      thrown instanceof PlimsollError && thrown.cause instanceof joseErrors.JWSSignatureVerificationFailed;
    if (!isOthers) throw thrown;
    const heartbeat = await verifyHeartbeat(token, await heartbeatKey(await helpfulnessKey(directiveKey)), now);
    return { ...heartbeat, report: { ...heartbeat.report, pool: 'helpfulness' } };
  }
}

/** Throws `heartbeat_invalid` if it is forged, malformed, or more than 30 seconds old or early. */
export async function verifyHeartbeat(token: string, key: Uint8Array, now: Date = new Date()): Promise<Heartbeat> {
  const options = {
    algorithms: ['HS256'],
    typ: TYP,
    issuer: ISSUER,
    audience: AUDIENCE,
    requiredClaims: ['exp', 'iat'],
    currentDate: now,
  };
  const { payload } = await jwtVerify(token, key, options).catch((cause: unknown) => {
    const isOld = cause instanceof joseErrors.JWTExpired;
    const why = isOld ? 'The heartbeat is too old: compare the clocks.' : 'The heartbeat is not valid.';
    throw new PlimsollError('heartbeat_invalid', why, { cause });
  });
  const ahead = (payload.iat ?? 0) - now.getTime() / 1000;
  if (ahead > HEARTBEAT_TTL_SECONDS) {
    throw new PlimsollError('heartbeat_invalid', 'The heartbeat is from the future: compare the clocks.');
  }
  const parsed = Heartbeat.safeParse(payload);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const where = issue === undefined ? '' : ` ${issue.path.join('.')}: ${issue.message}.`;
    throw new PlimsollError('heartbeat_invalid', `The heartbeat is malformed.${where}`, { cause: parsed.error });
  }
  return parsed.data;
}
