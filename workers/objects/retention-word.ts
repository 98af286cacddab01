/**
 * What a tenant's own object says about keeping its traffic, and the operator with it. Objects that
 * keep some ask it and not the request: a copy of a policy near to requests may be a minute old.
 *
 * A policy that cannot be read says neither yes nor no. While one is broken, no more is kept and
 * nobody can read what was, but nothing is erased before its time: erasing is for good.
 */
import { readLevel } from '#policies/effective.ts';
import { FORBIDS_NOTHING, KEEPS_NOTHING, type Retention } from '#policies/retention.ts';
import { joinRetention } from '#policies/tighten.ts';
import { type TenantIndexBinding, type TenantObjectBinding, tenantIndex, tenantObject } from './tenant-contracts.ts';

/** With a `problem`, the tenant's policy cannot be read, and `retention` is nobody's decision. */
type Word = { retention: Retention; problem: string | null; isSuspended: boolean; plan: string | null };

/** How long a word that allows it counts. */
const WORD_COUNTS_MS = 10_000;

type WordOptions = {
  /** Whether the object may keep what it keeps. */
  allows: (retention: Retention) => boolean;
  /** What the operator's policy says. */
  operator: () => Retention;
  /** Hears of a tenant's policy that cannot be read. */
  onProblem: (tenant: string, problem: string) => void;
};

export type RetentionWord = {
  /**
   * What the tenant's own document and the operator's say together: whether more may be kept, and
   * for how many days. null: no more may be. `erases`: nor what there is.
   */
  of(tenant: string): Promise<{ days: number | null; erases: boolean }>;
  /** What these and the plan's say together of what there is, asked anew. */
  withPlan(tenant: string): Promise<Retention>;
  /** The next word is asked anew, also the one that is on its way. */
  forget(): void;
};

export function createRetentionWord(
  env: TenantObjectBinding & TenantIndexBinding,
  { allows, operator, onProblem }: WordOptions,
): RetentionWord {
  let known: { word: Word; untilMs: number } | null = null;
  let forgotten = 0;

  async function ofTenant(tenant: string): Promise<Word> {
    if (known !== null && known.untilMs > Date.now()) return known.word;
    const before = forgotten;
    const view = await tenantObject(env, tenant).read(tenant);
    if (view === null || view.deleted_at !== null) {
      return { retention: KEEPS_NOTHING, problem: null, isSuspended: false, plan: null };
    }
    const { policy, problem } = await readLevel('tenant', view.policy, view.policy_version);
    const { retention } = policy;
    const word = { retention, problem, isSuspended: view.suspended !== null, plan: view.plan };
    // One that does not is asked for again, so that a new permission counts at once.
    const mayKeep = allows(retention) && !word.isSuspended;
    if (mayKeep && forgotten === before) known = { word, untilMs: Date.now() + WORD_COUNTS_MS };
    return word;
  }

  /** A plan that is lost or cannot be read forbids nothing here. */
  async function ofPlan({ plan: id }: Word): Promise<Retention> {
    const plan = id === null ? null : await tenantIndex(env).plan(id);
    if (plan === null) return FORBIDS_NOTHING;
    const { policy, problem } = await readLevel('plan', plan.document, plan.policy_version);
    return problem === null ? policy.retention : FORBIDS_NOTHING;
  }

  return {
    async of(tenant) {
      const { retention, problem, isSuspended } = await ofTenant(tenant);
      if (isSuspended || problem !== null) return { days: null, erases: false };
      const allowed = joinRetention(retention, operator());
      return allows(allowed) ? { days: allowed.days, erases: false } : { days: null, erases: true };
    },
    async withPlan(tenant) {
      known = null;
      const word = await ofTenant(tenant);
      if (word.problem !== null) onProblem(tenant, word.problem);
      const own = word.problem === null ? word.retention : FORBIDS_NOTHING;
      return joinRetention(joinRetention(own, operator()), await ofPlan(word));
    },
    forget() {
      forgotten += 1;
      known = null;
    },
  };
}
