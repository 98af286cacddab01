/**
 * What becomes of a tenant whose keys are made, replaced or revoked. Pure, as `apply-change.ts`.
 */
import { type Applied, changed, type Known, OPERATOR, refuse } from './applied.ts';
import { MAX_KEYS, type Scope } from './tenant-record.ts';
import type { KeyDraft, KeyRecord, TenantChange, TenantState } from './tenant-state.ts';

/** Adds a key, if there is room for it and its maker may make it. */
export function createKey(
  before: TenantState,
  { key: draft, under = null }: Extract<TenantChange, { type: 'key-create' }>,
  known: Known,
): Applied {
  const state = withoutOldKeys(before, known);
  const problem = keyProblem(state, draft) ?? beyondItsMaker(before, { ...draft, under }, known);
  if (problem !== null) return problem;
  const key = keyRecord(draft, [], known);
  return changed(known, {
    state: { ...state, keys: [...state.keys, key] },
    policies: [draft.policy],
    action: 'key-create',
    detail: { key: key.id, scopes: key.scopes, expires_at: key.expires_at },
  });
}

/**
 * The new key has the old one's scopes and policy (joined with its maker's). The old one ends after
 * the overlap.
 */
export function rotateKey(
  before: TenantState,
  {
    id,
    key: { policy, ...draft },
    oldExpiresAt,
    under = null,
    of = null,
  }: Extract<TenantChange, { type: 'key-rotate' }>,
  known: Known,
): Applied {
  const state = withoutOldKeys(before, known);
  const old = state.keys.find((key) => key.id === id);
  if (old === undefined) return refuse('not_found', 'This tenant has no such key.', 'key');
  const { scopes } = old;
  const problem = keyProblem(state, draft) ?? beyondItsMaker(before, { ...draft, scopes, under }, known);
  if (problem !== null) return problem;
  if (known.actor !== OPERATOR && old.policy_version !== of) return hasJustChanged(id);
  const expires_at = old.expires_at !== null && old.expires_at < oldExpiresAt ? old.expires_at : oldExpiresAt;
  const policy_version = policy === undefined ? old.policy_version : (policy?.version ?? null);
  const replacement = { ...old, ...draft, policy_version, created_at: known.now, replaces: old.id };
  return changed(known, {
    policies: [policy ?? null],
    state: {
      ...state,
      keys: [...state.keys.map((key) => (key.id === id ? { ...key, expires_at } : key)), replacement],
    },
    action: 'key-rotate',
    detail: { key: id, by: replacement.id, until: expires_at },
  });
}

/** Takes a key away. */
export function revokeKey(state: TenantState, id: string, known: Known): Applied {
  if (!state.keys.some((key) => key.id === id)) return refuse('not_found', 'This tenant has no such key.', 'key');
  return changed(known, {
    state: { ...state, keys: state.keys.filter((key) => key.id !== id) },
    action: 'key-revoke',
    detail: { key: id },
  });
}

/** Keys that expired long ago make room for new ones. */
function withoutOldKeys(state: TenantState, { now }: Known): TenantState {
  const oldest = new Date(Date.parse(now) - EXPIRED_KEYS_STAY_MS).toISOString();
  return { ...state, keys: state.keys.filter(({ expires_at }) => expires_at === null || expires_at > oldest) };
}

/** For this long, whoever uses an expired key is told that it has expired. */
const EXPIRED_KEYS_STAY_MS = 30 * 24 * 60 * 60 * 1000;

function keyProblem(state: TenantState, { id, sha256 }: { id: string; sha256: string }): Applied | null {
  if (state.keys.length >= MAX_KEYS) {
    return refuse('conflict', `A tenant has at most ${MAX_KEYS} keys. Revoke one that is not used any more.`, null);
  }
  const isTaken = state.keys.some((key) => key.id === id || key.sha256 === sha256);
  return isTaken ? refuse('conflict', `This tenant has a key '${id}' already.`, 'id') : null;
}

/**
 * Whoever has a key could otherwise make one that lives longer, opens more or has a looser policy.
 * The operator may make any.
 */
function beyondItsMaker(
  { keys }: TenantState,
  { expires_at, scopes, under }: { expires_at: string | null; scopes: readonly Scope[]; under: string | null },
  { actor }: Known,
): Applied | null {
  if (actor === OPERATOR) return null;
  const maker = keys.find(({ id }) => `key:${id}` === actor);
  if (maker === undefined) return refuse('permission_denied', 'The key that makes this one is gone.', null);
  const wide = scopes.find((scope) => !mayGive(maker.scopes, scope));
  if (wide !== undefined) {
    return refuse(
      'permission_denied',
      `A key gives no scope that it lacks: '${maker.id}' does not have '${wide}'. Name other 'scopes', or ask the operator.`,
      'scopes',
    );
  }
  if (maker.expires_at !== null && (expires_at === null || expires_at > maker.expires_at)) {
    return refuse(
      'permission_denied',
      `A key makes none that outlives it: '${maker.id}' expires at ${maker.expires_at}. Name an 'expires_at' up to then, or ask the operator.`,
      'expires_at',
    );
  }
  if (maker.policy_version === under) return null;
  return hasJustChanged(maker.id);
}

const hasJustChanged = (id: string) =>
  refuse('conflict', `The policy of the key '${id}' has just changed. Try again.`, null);

/** Whoever may change may read. */
function mayGive(scopes: readonly Scope[], scope: Scope): boolean {
  return scopes.includes(scope) || (scope === 'read' && scopes.includes('admin'));
}

/** A key that was there before keeps the time of its creation. */
export function keyRecord({ policy, ...draft }: KeyDraft, before: readonly KeyRecord[], { now }: Known): KeyRecord {
  const old = before.find(({ sha256 }) => sha256 === draft.sha256);
  return { ...draft, created_at: old?.created_at ?? now, policy_version: policy?.version ?? null };
}
