/**
 * What was spent, by day: by all tenants, for an operator; by one, with what is left of its limits,
 * for whoever may see it.
 */
import { useState } from 'preact/hooks';
import type * as z from 'zod';
import type { TenantAnswer } from '../../control/admin-answers.ts';
import type { UsageAnswer } from '../../control/usage.ts';
import { call, callJson } from '../net/api.ts';
import { addressOf, follow } from '../net/router.ts';
import { useAnswer } from '../net/use-answer.ts';
import { inPercent, inWhole } from '../net/words.ts';
import { useAct } from '../parts/act.ts';
import { Empty, ErrorNotice, Waiting } from '../parts/notice.tsx';
import { Scroll } from '../parts/scroll.tsx';
import { useTenant } from '../parts/tenant-choice.tsx';
import { TenantBudgets } from './budgets.tsx';
import { DayBars } from './day-bars.tsx';

type Usage = z.infer<typeof UsageAnswer>;
type Row = Usage['data'][number];

const isoDay = (when: Date) => when.toISOString().slice(0, 10);

export function UsagePage({ path: [named] }: { path: string[] }) {
  const { id: tenant, choice, list } = useTenant('usage', named, { all: 'all of them' });
  const today = isoDay(new Date());
  const [from, setFrom] = useState(`${today.slice(0, 7)}-01`);
  const [to, setTo] = useState(today);
  const at = tenant === null ? '/admin/v1/usage' : `/admin/v1/tenants/${tenant}/usage`;
  const query = `?from=${from}&to=${to}`;
  const usage = useAnswer((signal) => callJson<Usage>(`${at}${query}`, { signal }), [at, query]);
  const { act, error } = useAct();
  const download = () =>
    act(async () => {
      const file = await (await call(`${at}${query}&format=csv`)).blob();
      const link = Object.assign(document.createElement('a'), {
        href: URL.createObjectURL(file),
        download: `usage-${tenant === null ? '' : `${tenant}-`}${from}-${to}.csv`,
      });
      link.click();
      URL.revokeObjectURL(link.href);
    });
  const rows = usage.value?.data ?? [];
  return (
    <div class="page">
      <header class="page-head">
        <h1>
          Usage
          {tenant !== null && (
            <>
              {' of '}
              <bdi>{tenant}</bdi>
            </>
          )}
        </h1>
        {choice}
        <label class="inline">
          <span>from</span>
          <input type="date" value={from} max={to} onInput={(event) => setFrom(event.currentTarget.value || from)} />
        </label>
        <label class="inline">
          <span>to</span>
          <input type="date" value={to} min={from} onInput={(event) => setTo(event.currentTarget.value || to)} />
        </label>
        <button type="button" disabled={rows.length === 0} onClick={() => void download()}>
          Download as CSV
        </button>
      </header>
      {error !== null && <ErrorNotice error={error} />}
      {tenant !== null && <TenantBudgets key={tenant} tenant={tenant} />}
      {usage.error !== null && <ErrorNotice error={usage.error} again={usage.again} />}
      {usage.value === null && usage.error === null && <Waiting what="Adding up …" />}
      {usage.value !== null && rows.length === 0 && (
        <Empty title="Nothing was spent in these days">
          <p>What is spent shows here some seconds later.</p>
        </Empty>
      )}
      {usage.value !== null && rows.length > 0 && (
        <Report
          rows={rows}
          by={tenant === null ? 'tenant' : 'key'}
          tenants={list.value ?? []}
          today={today}
          days={daysBetween(usage.value.from, usage.value.to)}
        />
      )}
    </div>
  );
}

/** Both included, also those on which nothing was spent. */
function daysBetween(from: string, to: string): string[] {
  const days: string[] = [];
  for (let at = Date.parse(from); at <= Date.parse(to) && days.length < MOST_DAYS; at += DAY_MS) {
    days.push(isoDay(new Date(at)));
  }
  return days;
}
const DAY_MS = 86_400_000;
/** As many bars as can be told apart. */
const MOST_DAYS = 366;

function Report({
  rows,
  by,
  tenants,
  today,
  days,
}: {
  rows: readonly Row[];
  /** What a line of the table is about. */
  by: 'tenant' | 'key';
  tenants: readonly TenantAnswer[];
  today: string;
  days: readonly string[];
}) {
  const nameOf = (row: Row) => (by === 'tenant' ? row.tenant : `${row.key} · ${row.model}`);
  const names = [...new Set(rows.map(nameOf))].sort();
  const tokens = (of: keyof Row & `${string}_tokens`, some: readonly Row[]) =>
    some.reduce((sum, row) => sum + row[of], 0);
  const requests = (some: readonly Row[]) => some.reduce((sum, row) => sum + row.requests, 0);
  return (
    <>
      <ul class="figures">
        <li>
          <span class="figure-name">requests</span>
          <span class="figure">{inWhole(requests(rows))}</span>
        </li>
        <li>
          <span class="figure-name">tokens charged</span>
          <span class="figure">{inWhole(tokens('charged_tokens', rows))}</span>
        </li>
        <li>
          <span class="figure-name">{by === 'tenant' ? 'tenants' : 'keys and models'}</span>
          <span class="figure">{inWhole(names.length)}</span>
        </li>
      </ul>
      <DayBars
        days={days.map((day) => ({
          day,
          tokens: tokens(
            'charged_tokens',
            rows.filter((row) => row.day === day),
          ),
        }))}
      />
      <Scroll label="Usage">
        <table class="table">
          <thead>
            <tr>
              <th>{by === 'tenant' ? 'tenant' : 'key and model'}</th>
              <th class="end">requests</th>
              <th class="end">prompt tokens</th>
              <th class="end">answer tokens</th>
              <th class="end">charged</th>
              {by === 'tenant' && <th>of today’s limit</th>}
            </tr>
          </thead>
          <tbody>
            {names.map((name) => {
              const own = rows.filter((row) => nameOf(row) === name);
              const tenant = tenants.find(({ id }) => id === name);
              return (
                <tr key={name}>
                  <th scope="row">
                    {by === 'tenant' ? (
                      <a href={addressOf('usage', name)} onClick={(event) => follow(event, 'usage', name)}>
                        <bdi>{tenant?.name ?? name}</bdi>
                      </a>
                    ) : (
                      <bdi>{name}</bdi>
                    )}
                  </th>
                  <td class="end number">{inWhole(requests(own))}</td>
                  <td class="end number">{inWhole(tokens('prompt_tokens', own))}</td>
                  <td class="end number">{inWhole(tokens('completion_tokens', own))}</td>
                  <td class="end number">{inWhole(tokens('charged_tokens', own))}</td>
                  {by === 'tenant' && (
                    <td>
                      <Limit
                        spent={tokens(
                          'charged_tokens',
                          own.filter(({ day }) => day === today),
                        )}
                        most={tenant?.policy.limits.tokens_per_day ?? null}
                      />
                    </td>
                  )}
                </tr>
              );
            })}
          </tbody>
        </table>
      </Scroll>
      <p class="small">Days are those of UTC.</p>
    </>
  );
}

function Limit({ spent, most }: { spent: number; most: number | null }) {
  if (most === null) return <span class="small">none of its own</span>;
  const share = most === 0 ? 1 : Math.min(spent / most, 1);
  return (
    <span class="limit">
      <span class="meter" style={{ '--p': share }} />
      <span class="small">
        {inPercent(share)} of {inWhole(most)}
      </span>
    </span>
  );
}
