/**
 * What a tenant's own object says about keeping its traffic. Objects that keep some ask it and not
 * the request: a copy of a policy near to requests may be a minute old.
 */
import { readLevel } from '#policies/effective.ts';
import { KEEPS_NOTHING, type Retention } from '#policies/retention.ts';
import { joinRetention } from '#policies/tighten.ts';
import { type TenantIndexBinding, type TenantObjectBinding, tenantIndex, tenantObject } from './tenant-contracts.ts';

type Word = Retention & { isSuspended: boolean; plan: string | null };

/** How long a word counts. */
const WORD_COUNTS_MS = 10_000;

export type RetentionWord = {
  /** What the tenant's own document says. A tenant that is gone keeps nothing. */
  of(tenant: string): Promise<Word>;
  /** What the tenant's document and its plan's say together, asked anew. */
  withPlan(tenant: string): Promise<Retention>;
  /** The next word is asked anew, also the one that is on its way. */
  forget(): void;
};

export function createRetentionWord(env: TenantObjectBinding & TenantIndexBinding): RetentionWord {
  let known: { word: Word; untilMs: number } | null = null;
  let forgotten = 0;

  async function of(tenant: string): Promise<Word> {
    if (known !== null && known.untilMs > Date.now()) return known.word;
    const before = forgotten;
    const view = await tenantObject(env, tenant).read(tenant);
    const word =
      view === null || view.deleted_at !== null
        ? { ...KEEPS_NOTHING, isSuspended: false, plan: null }
        : {
            ...(await readLevel('tenant', view.policy, view.policy_version)).policy.retention,
            isSuspended: view.suspended !== null,
            plan: view.plan,
          };
    if (forgotten === before) known = { word, untilMs: Date.now() + WORD_COUNTS_MS };
    return word;
  }

  /** A plan that is lost or cannot be read forbids nothing here: erasing is for good. */
  async function ofPlan({ plan: id, ...own }: Word): Promise<Retention> {
    const plan = id === null ? null : await tenantIndex(env).plan(id);
    if (plan === null) return retentionIn(own);
    const { policy, problem } = await readLevel('plan', plan.document, plan.policy_version);
    return problem === null ? policy.retention : retentionIn(own);
  }

  return {
    of,
    async withPlan(tenant) {
      known = null;
      const word = await of(tenant);
      return joinRetention(retentionIn(word), await ofPlan(word));
    },
    forget() {
      forgotten += 1;
      known = null;
    },
  };
}

const retentionIn = ({ traffic, share, responses, days }: Retention): Retention => ({
  traffic,
  share,
  responses,
  days,
});
