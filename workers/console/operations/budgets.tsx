/** What is left of a tenant's day and month, and which alerts were sent. */
import type * as z from 'zod';
import type { BudgetsAnswer } from '../../control/budgets.ts';
import { callJson } from '../net/api.ts';
import { useAnswer } from '../net/use-answer.ts';
import { fromNow, inDay, inMonth, inPercent, inTime, inWhole } from '../net/words.ts';
import { ErrorNotice, Waiting } from '../parts/notice.tsx';

type Budgets = z.infer<typeof BudgetsAnswer>;
type Budget = Budgets['budgets'][number];

const WHO: Record<NonNullable<Budget['set_by']>, string> = {
  operator: 'the operator',
  plan: 'its plan',
  tenant: 'its own policy',
};

export function TenantBudgets({ tenant }: { tenant: string }) {
  const budgets = useAnswer((signal) => callJson<Budgets>(`/admin/v1/tenants/${tenant}/budgets`, { signal }), [tenant]);
  const { value, error, again } = budgets;
  if (error !== null) return <ErrorNotice error={error} again={again} />;
  if (value === null) return <Waiting what="Asking the account …" />;
  return (
    <section class="stack">
      <h2>What is left</h2>
      <div class="budgets">
        {value.budgets.map((budget) => (
          <Left key={budget.period} of={budget} shares={value.alert_shares} />
        ))}
      </div>
      <h2>Alerts of this month</h2>
      {value.alerts.length === 0 ? (
        <p class="small">
          {value.alert_shares === null
            ? 'This deployment sends none: it has no ALERT_WEBHOOK_URL.'
            : `None so far. One is sent at ${value.alert_shares.map(inPercent).join(', ')} of a day’s or a month’s limit.`}
        </p>
      ) : (
        <ul class="alerts">
          {value.alerts.map(({ window, share, limit, set_by, at, delivered, attempts }) => (
            <li key={`${window} ${share} ${limit}`}>
              <strong>{inPercent(share)}</strong> of {inWhole(limit)} tokens in{' '}
              {window.length === 7 ? inMonth(window) : inDay(window)}
              <span class="small">
                {' '}
                {inTime(at)}, limit by {set_by === 'tenant' ? 'its own policy' : 'the operator or its plan'}
                {!delivered && `, still to be delivered (${inWhole(attempts)} tries so far)`}
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Left({
  of: { period, limit, set_by, charged, settled, left, ends_at },
  shares,
}: {
  of: Budget;
  shares: Budgets['alert_shares'];
}) {
  const name = period === 'day' ? 'Today' : 'This month';
  const share = limit === null ? 0 : Math.min(charged / limit, 1);
  return (
    <div class="budget">
      <h3>{name}</h3>
      {limit === null || left === null ? (
        <p>
          <span class="figure">{inWhole(settled)}</span> tokens, and no limit
        </p>
      ) : (
        <>
          <p>
            <span class="figure">{inWhole(left)}</span> of {inWhole(limit)} tokens left
          </p>
          <div
            class={`budget-bar${left === 0 ? ' full' : ''}`}
            role="img"
            aria-label={`${name}: ${inWhole(charged)} of ${inWhole(limit)} tokens spent`}
          >
            <span style={{ '--p': share }} />
            {(shares ?? []).map((at) => (
              <i key={at} style={{ '--p': at }} />
            ))}
          </div>
        </>
      )}
      <p class="small">
        {[
          limit === null ? null : `${inPercent(share)} spent`,
          charged > settled ? `${inWhole(charged - settled)} of it reserved by what is under way` : null,
          set_by === null ? null : `set by ${WHO[set_by]}`,
          `ends ${fromNow(ends_at)} (UTC)`,
        ]
          .filter((each) => each !== null)
          .join(' · ')}
      </p>
    </div>
  );
}
