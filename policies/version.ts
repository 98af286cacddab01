/**
 * A policy's version is its content: SHA-256 over its canonical JSON (keys sorted, no spaces). The canonical text itself
 * is what gets stored, so a stored policy still answers to its version when the schema has since gained a default.
 */
import * as z from 'zod';
import { canonicalJson } from '#shared/protocol/canonical-json.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { Policy, STRICTEST } from './schema.ts';

/** 64 bits of the digest: short enough to read aloud, and no two policies of one tenant's history meet by accident. */
const VERSION_LENGTH = 16;

/** How the version of a policy begins that stands in for one that was missing or broken. */
export const STRICTEST_VERSION = 'strictest';

export function canonicalPolicy(policy: Policy): string {
  return canonicalJson(policy);
}

export async function policyVersion(canonical: string): Promise<string> {
  return (await sha256Hex(canonical)).slice(0, VERSION_LENGTH);
}

export type StoredPolicy = { policy: Policy; version: string; problem: string | null };

/**
 * The policy behind a stored text, or the strictest one with the problem named: there was no text, it does not hash to
 * the version it was stored under, it is not JSON, or it is not a policy.
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
