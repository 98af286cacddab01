/**
 * A policy's version is its content address: SHA-256 over its canonical JSON (sorted keys, no
 * spaces). The canonical text itself is stored, so a stored policy keeps its version even if the
 * schema gains a default later.
 */
import * as z from 'zod';
import { canonicalJson } from '#shared/protocol/canonical-json.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { Policy, STRICTEST } from './schema.ts';

/**
 * 64 bits of the digest: short enough to read aloud, and long enough that no two policies in one
 * tenant's history collide by accident.
 */
const VERSION_LENGTH = 16;

/** The version of a policy that stands in for a missing or broken one begins with this. */
export const STRICTEST_VERSION = 'strictest';

export function canonicalPolicy(policy: Policy): string {
  return canonicalJson(policy);
}

export async function policyVersion(canonical: string): Promise<string> {
  return (await sha256Hex(canonical)).slice(0, VERSION_LENGTH);
}

export type StoredPolicy = { policy: Policy; version: string; problem: string | null };

/**
 * Reads a stored policy. Returns the strictest policy and names the problem if there is no text,
 * the text does not hash to the version it was stored under, or it is not JSON or not a policy.
 */
export async function readStoredPolicy(canonical: string | null, version: string | null): Promise<StoredPolicy> {
  const strictest = (problem: string) => ({ policy: STRICTEST, version: STRICTEST_VERSION, problem });
  if (canonical === null || version === null) return strictest('the policy is missing');
  if ((await policyVersion(canonical)) !== version) return strictest('the policy does not match its version');
  let document: unknown;
  try {
    document = JSON.parse(canonical);
  } catch {
    return strictest('the policy is not JSON');
  }
  const parsed = Policy.safeParse(document);
  return parsed.success
    ? { policy: parsed.data, version, problem: null }
    : strictest(`the policy is not valid: ${z.prettifyError(parsed.error)}`);
}
