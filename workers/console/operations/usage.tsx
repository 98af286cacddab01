/** What tenants have spent, by day, and of which limits of their policies. */
import { useState } from 'preact/hooks';
import type * as z from 'zod';
import type { TenantAnswer } from '../../control/admin-answers.ts';
import type { UsageAnswer } from '../../control/usage.ts';
import { call, callJson } from '../net/api.ts';
import { useAnswer } from '../net/use-answer.ts';
import { inPercent, inWhole } from '../net/words.ts';
import { useAct } from '../parts/act.ts';
import { Empty, ErrorNotice, Waiting } from '../parts/notice.tsx';
import { DayBars } from './day-bars.tsx';

type Usage = z.infer<typeof UsageAnswer>;
type Row = Usage['data'][number];

const isoDay = (when: Date) => when.toISOString().slice(0, 10);

export function UsagePage() {
  const today = isoDay(new Date());
  const [from, setFrom] = useState(`${today.slice(0, 7)}-01`);
  const [to, setTo] = useState(today);
  const query = `?from=${from}&to=${to}`;
  const usage = useAnswer((signal) => callJson<Usage>(`/admin/v1/usage${query}`, { signal }), [query]);
  const tenants = useAnswer(
    async (signal) => (await callJson<{ data: TenantAnswer[] }>('/admin/v1/tenants', { signal })).data,
    [],
  );
  const { act, error } = useAct();
  const download = () =>
    act(async () => {
      const file = await (await call(`/admin/v1/usage${query}&format=csv`)).blob();
      const link = Object.assign(document.createElement('a'), {
        href: URL.createObjectURL(file),
        download: `usage-${from}-${to}.csv`,
      });
      link.click();
      URL.revokeObjectURL(link.href);
    });
  const rows = usage.value?.data ?? [];
  return (
    <div class="page">
      <header class="page-head">
        <h1>Usage</h1>
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
          tenants={tenants.value ?? []}
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
  tenants,
  today,
  days,
}: {
  rows: readonly Row[];
  tenants: readonly TenantAnswer[];
  today: string;
  days: readonly string[];
}) {
  const ids = [...new Set(rows.map(({ tenant }) => tenant))].sort();
  const charged = (some: readonly Row[]) => some.reduce((sum, row) => sum + row.charged_tokens, 0);
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
          <span class="figure">{inWhole(charged(rows))}</span>
        </li>
        <li>
          <span class="figure-name">tenants</span>
          <span class="figure">{inWhole(ids.length)}</span>
        </li>
      </ul>
      <DayBars days={days.map((day) => ({ day, tokens: charged(rows.filter((row) => row.day === day)) }))} />
      <div class="scroll">
        <table class="table">
          <thead>
            <tr>
              <th>tenant</th>
              <th class="end">requests</th>
              <th class="end">prompt tokens</th>
              <th class="end">answer tokens</th>
              <th class="end">charged</th>
              <th>of today’s limit</th>
            </tr>
          </thead>
          <tbody>
            {ids.map((id) => {
              const own = rows.filter(({ tenant }) => tenant === id);
              const tenant = tenants.find((each) => each.id === id);
              return (
                <tr key={id}>
                  <th scope="row">
                    <bdi>{tenant?.name ?? id}</bdi>
                  </th>
                  <td class="end number">{inWhole(requests(own))}</td>
                  <td class="end number">{inWhole(own.reduce((sum, row) => sum + row.prompt_tokens, 0))}</td>
                  <td class="end number">{inWhole(own.reduce((sum, row) => sum + row.completion_tokens, 0))}</td>
                  <td class="end number">{inWhole(charged(own))}</td>
                  <td>
                    <Limit
                      spent={charged(own.filter(({ day }) => day === today))}
                      most={tenant?.policy.limits.tokens_per_day ?? null}
                    />
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
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
