/**
 * What a change makes of a tenant. Pure: the object reads the state, asks here what becomes of it,
 * and writes what it is told.
 */
import { canonicalJson } from '#shared/protocol/canonical-json.ts';
import { type Applied, changed, type Known, OPERATOR, refuse, unchanged } from './applied.ts';
import { createKey, keyRecord, revokeKey, rotateKey } from './apply-key-change.ts';
import { noted } from './apply-traffic-event.ts';
import type {
  ActivationRecord,
  KeyDraft,
  KeyRecord,
  PolicyText,
  Refusal,
  TenantChange,
  TenantState,
} from './tenant-state.ts';

/**
 * All versions are kept, and a backup has them in one line, which may have 16 MiB. In JSON a text
 * can be twice as long.
 */
export const MAX_STORED_CHARACTERS = 4 * 1024 * 1024;

/**
 * How many changes the tenant's own keys may make in any minute and in any day. Each is an entry of
 * two audit logs, which are kept for good. A deployment of policies as code makes a handful.
 */
const MOST_CHANGES_BY_KEYS = [
  { most: 30, periodMs: 60_000, period: 'a minute' },
  { most: 500, periodMs: 24 * 60 * 60_000, period: '24 hours' },
];
/**
 * Whoever stole a key could otherwise keep its owner from taking it away. These come to an end by
 * themselves: each takes away what another change has made, or what requests have left.
 */
const ALWAYS_ALLOWED: ReadonlySet<TenantChange['type']> = new Set(['key-revoke', 'policy-rollback', 'prompts-erase']);

export function applyChange(state: TenantState | null, change: TenantChange, known: Known): Applied {
  const applied = consequence(state, change, known);
  if (applied.refused !== null || !applied.changed) return applied;
  const isBounded = known.actor !== OPERATOR && !ALWAYS_ALLOWED.has(change.type);
  const tooMany = isBounded ? tooManyChanges(known) : null;
  if (tooMany !== null) return tooMany;
  const news = applied.policies.filter(({ version }) => known.documentOf(version) === null);
  const more = news.reduce((sum, { document }) => sum + document.length, 0);
  if (more === 0 || known.storedCharacters + more <= MAX_STORED_CHARACTERS) return applied;
  return refuse(
    'conflict',
    `The tenant's policies would have more than ${MAX_STORED_CHARACTERS} characters, all versions together. ${WITHOUT_NEW_POLICY[change.type] ?? 'Name one that is stored already.'}`,
    'policy',
  );
}

/** What to do instead of storing one more. */
const WITHOUT_NEW_POLICY: Partial<Record<TenantChange['type'], string>> = {
  'policy-draft': 'Activate one that is stored already.',
  // The new key's policy is the old one's joined with that of the key that rotates it.
  'key-rotate': 'Rotate the key with itself or with one that has no policy of its own.',
};

/** The wait is until the oldest change that counts is old enough. */
function tooManyChanges({ now, changeByKeys }: Known): Applied | null {
  let longest: { waitMs: number; refused: Refusal } | null = null;
  for (const { most, periodMs, period } of MOST_CHANGES_BY_KEYS) {
    const oldest = changeByKeys(most);
    const waitMs = oldest === null ? 0 : Date.parse(oldest) + periodMs - Date.parse(now);
    if (waitMs <= (longest?.waitMs ?? 0)) continue;
    // A clock that was set back makes nobody wait for longer.
    const retryAfterSeconds = Math.ceil(Math.min(waitMs, periodMs) / 1000);
    const message = `The keys of a tenant make at most ${most} changes in ${period}. Try again in ${retryAfterSeconds} s.`;
    longest = { waitMs, refused: { code: 'rate_limit_exceeded', message, param: null, retryAfterSeconds } };
  }
  return longest && { refused: longest.refused };
}

function consequence(state: TenantState | null, change: TenantChange, known: Known): Applied {
  if (change.type === 'put') return put(state, change, known);
  // A tenant whose data was kept when it was deleted can still be erased.
  if (change.type === 'erase' && state !== null) return remove(state, 'tenant-erase', known);
  if (state === null || state.deleted_at !== null) return refuse('not_found', 'There is no such tenant.', 'id');
  switch (change.type) {
    case 'patch':
      return patch(state, change, known);
    case 'suspend':
      if (state.suspended !== null) return unchanged(state);
      return changed(known, {
        state: { ...state, suspended: { at: known.now, reason: change.reason } },
        action: 'tenant-suspend',
        detail: { reason: change.reason },
      });
    case 'resume':
      if (state.suspended === null) return unchanged(state);
      return changed(known, { state: { ...state, suspended: null }, action: 'tenant-resume', detail: {} });
    case 'delete':
    case 'erase':
      return remove(state, 'tenant-delete', known);
    case 'key-create':
      return createKey(state, change, known);
    case 'key-rotate':
      return rotateKey(state, change, known);
    case 'key-revoke':
      return revokeKey(state, change.id, known);
    case 'policy-draft': {
      if (known.documentOf(change.policy.version) === change.policy.document) return unchanged(state);
      const { version } = change.policy;
      return changed(known, { state, policies: [change.policy], action: 'policy-draft', detail: { version } });
    }
    case 'policy-activate':
      return activate(state, change, known);
    case 'policy-rollback':
      return rollback(state, known);
    case 'prompts-read':
    case 'prompts-erase':
      return noted(state, change);
    default:
      return change satisfies never;
  }
}

function put(state: TenantState | null, change: Extract<TenantChange, { type: 'put' }>, known: Known): Applied {
  if (state?.deleted_at != null) {
    return refuse(
      'conflict',
      'A tenant of this id was deleted. Ids are not used again, so that old receipts keep their meaning.',
      'id',
    );
  }
  if (state !== null && change.onlyNew) return refuse('conflict', 'There is a tenant of this id already.', 'id');
  const { name, plan, policy } = change;
  const keys = change.keys?.map((draft) => keyRecord(draft, state?.keys ?? [], known)) ?? state?.keys ?? [];
  const before = state?.keys ?? [];
  const asBefore =
    state !== null &&
    state.name === name &&
    state.plan === plan &&
    state.policy_version === policy.version &&
    state.canary === null &&
    sameKeys(state.keys, keys) &&
    [policy, ...policiesOf(change.keys)].every(({ version, document }) => known.documentOf(version) === document);
  if (asBefore) return unchanged(state);
  const isActive = state?.policy_version === policy.version;
  const activation = isActive ? undefined : activationOf(policy.version, 1, state, known);
  const canaryEnds = isActive && state.canary !== null ? activationOf(policy.version, 1, state, known) : undefined;
  const record = activation ?? canaryEnds;
  return changed(known, {
    state: {
      suspended: null,
      deleted_at: null,
      created_at: known.now,
      updated_at: known.now,
      revision: 0,
      activation: 0,
      ...state,
      name,
      plan,
      policy_version: policy.version,
      canary: null,
      keys,
      ...(activation !== undefined && { activation: activation.seq }),
    },
    policies: [policy, ...policiesOf(change.keys)],
    ...(record !== undefined && { activation: record }),
    action: 'tenant-put',
    detail: {
      name,
      policy: { from: state?.policy_version ?? null, to: policy.version },
      keys: {
        from: before.map(({ id }) => id),
        to: keys.map(({ id }) => id),
        // Those that have other rights, another policy or another secret under the same id.
        changed: keys
          .filter((key) => before.some(({ id }) => id === key.id) && !before.some((old) => sameKeys([old], [key])))
          .map(({ id }) => id),
      },
      ...((state?.plan ?? null) !== plan && { plan: { from: state?.plan ?? null, to: plan } }),
      ...endOfCanary(state),
    },
  });
}

function remove(state: TenantState, action: string, known: Known): Applied {
  return changed(known, {
    state: { ...state, deleted_at: state.deleted_at ?? known.now, keys: [], canary: null },
    action,
    detail: { keys: state.keys.map(({ id }) => id), ...endOfCanary(state) },
  });
}

/** For the audit log, of a change that ends the canary beside something else. */
function endOfCanary(state: TenantState | null): { canary?: { from: NonNullable<TenantState['canary']>; to: null } } {
  const from = state?.canary ?? null;
  return from === null ? {} : { canary: { from, to: null } };
}

function patch(state: TenantState, { name, plan }: { name?: string; plan?: string | null }, known: Known): Applied {
  const detail = {
    ...(name !== undefined && name !== state.name && { name: { from: state.name, to: name } }),
    ...(plan !== undefined && plan !== state.plan && { plan: { from: state.plan, to: plan } }),
  };
  if (Object.keys(detail).length === 0) return unchanged(state);
  const after = { ...state, name: name ?? state.name, plan: plan === undefined ? state.plan : plan };
  return changed(known, { state: after, action: 'tenant-change', detail });
}

function activate(state: TenantState, { version, share }: { version: string; share: number }, known: Known): Applied {
  if (known.documentOf(version) === null) {
    return refuse('not_found', `This tenant has no policy of version '${version}'.`, 'version');
  }
  const from = { version: state.policy_version, canary: state.canary };
  if (share < 1) {
    if (version === state.policy_version) {
      return refuse('conflict', 'This version is active already, so it cannot be a canary beside itself.', 'version');
    }
    if (state.canary?.version === version && state.canary.share === share) return unchanged(state);
    return changed(known, {
      state: { ...state, canary: { version, share } },
      activation: activationOf(version, share, state, known),
      action: 'policy-canary',
      detail: { from, to: { version, share } },
    });
  }
  if (state.policy_version === version && state.canary === null) return unchanged(state);
  const activation = activationOf(version, 1, state, known);
  // If that only ends a canary, the record is for the history, as with a rollback.
  const current = state.policy_version === version ? state.activation : activation.seq;
  return changed(known, {
    state: { ...state, policy_version: version, canary: null, activation: current },
    activation,
    action: 'policy-activate',
    detail: { from, to: { version } },
  });
}

/** Ends a canary. Without one, goes back to the version before, and the next time further back. */
function rollback(state: TenantState, known: Known): Applied {
  const from = { version: state.policy_version, canary: state.canary };
  if (state.canary !== null) {
    const detail = { from, to: { version: state.policy_version } };
    // For the history. The active version goes on, so the next rollback goes where it would have.
    const activation = activationOf(state.policy_version, 1, state, known);
    return changed(known, { state: { ...state, canary: null }, activation, action: 'policy-rollback', detail });
  }
  const before = known.activation(known.activation(state.activation)?.previous ?? 0);
  if (before === null) return refuse('conflict', 'No version was active before this one.', null);
  const { now: at, actor, nextActivation: seq } = known;
  return changed(known, {
    state: { ...state, policy_version: before.version, activation: seq },
    activation: { seq, at, actor, version: before.version, share: 1, previous: before.previous },
    action: 'policy-rollback',
    detail: { from, to: { version: before.version } },
  });
}

function activationOf(
  version: string,
  share: number,
  state: TenantState | null,
  { now: at, actor, nextActivation: seq }: Known,
): ActivationRecord {
  return { seq, at, actor, version, share, previous: state?.activation ?? null };
}

function policiesOf(keys: readonly KeyDraft[] | null): PolicyText[] {
  return (keys ?? []).flatMap(({ policy }) => policy ?? []);
}

function sameKeys(a: readonly KeyRecord[], b: readonly KeyRecord[]): boolean {
  const text = (keys: readonly KeyRecord[]) =>
    canonicalJson([...keys].sort((one, other) => (one.sha256 < other.sha256 ? -1 : 1)));
  return text(a) === text(b);
}

/** Puts what a backup holds in place of what is there. */
export function restore(
  state: TenantState | null,
  { state: stored, head }: { state: TenantState; head: string },
  known: Known,
): Applied {
  if (state === null) {
    return { refused: null, changed: true, state: stored, policies: [], activation: null, action: '', detail: {} };
  }
  const restoredBefore = known.lastAudit?.action === RESTORE && known.lastAudit.detail === JSON.stringify({ head });
  if (known.lastAudit?.hash === head || restoredBefore) return unchanged(state);
  return changed(known, { state: { ...stored, revision: state.revision }, action: RESTORE, detail: { head } });
}

const RESTORE = 'tenant-restore';
