/** A tenant as its object keeps it, and what may happen to it. */
import type { ErrorCode } from '#shared/api/errors.ts';
import type { Scope } from './tenant-record.ts';

/** A policy and its content address. */
export type PolicyText = { version: string; document: string };

export type KeyRecord = {
  id: string;
  sha256: string;
  scopes: Scope[];
  created_at: string;
  /** null: it does not expire. */
  expires_at: string | null;
  /** Of the key's own policy; null: it has none. */
  policy_version: string | null;
  /** The id of the key that it was made to replace. */
  replaces: string | null;
};

/** A key as a change brings it. */
export type KeyDraft = Omit<KeyRecord, 'created_at' | 'policy_version'> & { policy: PolicyText | null };

type Canary = { version: string; share: number };

export type TenantState = {
  name: string;
  plan: string | null;
  /** The active version. */
  policy_version: string;
  /** Which activation made it so. */
  activation: number;
  canary: Canary | null;
  suspended: { at: string; reason: string | null } | null;
  deleted_at: string | null;
  created_at: string;
  updated_at: string;
  /** Counts changes. The ETag is made of it. */
  revision: number;
  keys: KeyRecord[];
};

/** When a version became active, or a canary. `previous` is the activation that it followed. */
export type ActivationRecord = {
  seq: number;
  at: string;
  actor: string;
  version: string;
  share: number;
  previous: number | null;
};

/**
 * The version of the policy of the key that makes a key. The new key's policy was joined with it,
 * so it has to be the maker's still. Left out is null: the maker has none, or is the operator.
 */
type Under = string | null;

export type TenantChange =
  | {
      type: 'put';
      name: string;
      plan: string | null;
      policy: PolicyText;
      /** null leaves the keys as they are; a new tenant then has none. */
      keys: KeyDraft[] | null;
      /** Refuse if there is such a tenant already. */
      onlyNew: boolean;
    }
  | { type: 'patch'; name?: string; plan?: string | null }
  | { type: 'suspend'; reason: string | null }
  | { type: 'resume' }
  /** Keeps its policies and its audit log. */
  | { type: 'delete' }
  /** Also of one that was deleted before. */
  | { type: 'erase' }
  | { type: 'key-create'; key: KeyDraft; under?: Under }
  | {
      type: 'key-rotate';
      id: string;
      key: Omit<KeyDraft, 'scopes' | 'replaces' | 'policy'> & {
        /** Left out: as the old key's. */
        policy?: PolicyText | null;
      };
      oldExpiresAt: string;
      under?: Under;
      /**
       * The version of the old key's policy that the new one was made of. It has to be the old
       * key's still, or a policy that was tightened meanwhile would be undone.
       */
      of?: Under;
    }
  | { type: 'key-revoke'; id: string }
  | { type: 'policy-draft'; policy: PolicyText }
  | { type: 'policy-activate'; version: string; share: number }
  | { type: 'policy-rollback' }
  | TrafficEvent;

/** Changes nothing of the tenant, and is an entry in its audit log: what became of kept prompts. */
export type TrafficEvent = { type: 'prompts-read' | 'prompts-erase'; prompts: number };

/**
 * Errors lose their class on the way out of a Durable Object, so what can go wrong is part of the
 * result.
 */
export type Refusal = {
  code: ErrorCode;
  message: string;
  param: string | null;
  /** The tenant that holds the key which was asked for. */
  holder?: string;
  retryAfterSeconds?: number;
};
