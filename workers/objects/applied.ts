/** What a change is made of: what it has to know, and what it says. */
import type { AuditEntry } from './audit-chain.ts';
import type { ActivationRecord, PolicyText, Refusal, TenantState } from './tenant-state.ts';

/** How the audit log names the operator. Everybody else is `key:ID`. */
export const OPERATOR = 'operator';

/** What the pure part cannot know by itself. */
export type Known = {
  now: string;
  actor: string;
  /** The stored text of a version; null if there is none. */
  documentOf(version: string): string | null;
  activation(seq: number): ActivationRecord | null;
  nextActivation: number;
  lastAudit: AuditEntry | null;
  /** Of all policies' texts together. */
  storedCharacters: number;
  /**
   * When the tenant's own keys made their nth change, counted back from the latest, which is the
   * first. null: they have made fewer.
   */
  changeByKeys(nth: number): string | null;
};

export type Applied =
  | { refused: Refusal }
  | { refused: null; changed: false; state: TenantState }
  | {
      refused: null;
      changed: true;
      state: TenantState;
      policies: PolicyText[];
      activation: ActivationRecord | null;
      /** For the audit log. */
      action: string;
      detail: Record<string, unknown>;
    };

type Changed = Pick<Extract<Applied, { changed: true }>, 'action' | 'detail'> & {
  state: TenantState;
  policies?: (PolicyText | null)[];
  activation?: ActivationRecord;
};

/** A change that is not made, and why. */
export function refuse(code: Refusal['code'], message: string, param: string | null): { refused: Refusal } {
  return { refused: { code, message, param } };
}

/** A change that is so already. */
export function unchanged(state: TenantState): Applied {
  return { refused: null, changed: false, state };
}

/** A change that is made. It counts as one more revision. */
export function changed({ now }: Known, { state, policies = [], activation, action, detail }: Changed): Applied {
  return {
    refused: null,
    changed: true,
    state: { ...state, updated_at: now, revision: state.revision + 1 },
    policies: policies.filter((policy) => policy !== null),
    activation: activation ?? null,
    action,
    detail,
  };
}
