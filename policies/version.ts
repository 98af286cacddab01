/**
 * A policy's version is its content address: SHA-256 over its canonical JSON (sorted keys, no
 * spaces). The canonical text itself is stored, so a stored policy keeps its version even if the
 * schema gains a default later.
 */
import * as z from 'zod';
import { canonicalJson } from '#shared/protocol/canonical-json.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { Policy, type PolicyPart, STRICTEST } from './schema.ts';

/**
 * 128 bits of the digest: enough that nobody can make two documents with one version. Up to 0.1.0
 * it was 64 bits. Documents that were stored then can still be read.
 */
const VERSION = /^[0-9a-f]{32}$/;
const OLDER_VERSION = /^[0-9a-f]{16}$/;
const VERSION_LENGTH = 32;

/** The version of a policy that stands in for a missing or broken one begins with this. */
export const STRICTEST_VERSION = 'strictest';

export function canonicalPolicy(policy: Policy): string {
  return canonicalJson(policy);
}

export async function policyVersion(canonical: string): Promise<string> {
  return (await sha256Hex(canonical)).slice(0, VERSION_LENGTH);
}

/** Whether a version stands for this text. */
export async function isTextOf(canonical: string, version: string): Promise<boolean> {
  const isVersion = VERSION.test(version) || OLDER_VERSION.test(version);
  return isVersion && (await sha256Hex(canonical)).startsWith(version);
}

export type StoredPolicy = { policy: Policy; version: string; problem: string | null };

/**
 * Reads a stored policy. Returns the strictest policy and names the problem if there is no text,
 * the text does not hash to the version it was stored under, or it is not JSON or not a policy.
 * `as` is what the text should be: a tenant's document, or the part of another level.
 */
export async function readStoredPolicy(
  canonical: string | null,
  version: string | null,
  as: typeof Policy | typeof PolicyPart = Policy,
): Promise<StoredPolicy> {
  const strictest = (problem: string) => ({ policy: STRICTEST, version: STRICTEST_VERSION, problem });
  if (canonical === null || version === null) return strictest('the policy is missing');
  if (!(await isTextOf(canonical, version))) return strictest('the policy does not match its version');
  let document: unknown;
  try {
    document = JSON.parse(canonical);
  } catch {
    return strictest('the policy is not JSON');
  }
  const parsed = as.safeParse(document);
  return parsed.success
    ? { policy: parsed.data, version, problem: null }
    : strictest(`the policy is not valid: ${z.prettifyError(parsed.error)}`);
}
