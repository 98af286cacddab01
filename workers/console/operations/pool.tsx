/** The backends, and taking one out and back in. */
import type * as z from 'zod';
import type { PoolAnswer } from '../../control/pool.ts';
import { callJson } from '../net/api.ts';
import { useAnswer } from '../net/use-answer.ts';
import { fromNow, inPercent, inWhole } from '../net/words.ts';
import { useAct } from '../parts/act.ts';
import { Empty, ErrorNotice, Waiting } from '../parts/notice.tsx';
import { Scroll } from '../parts/scroll.tsx';

type Pool = z.infer<typeof PoolAnswer>;
type Backend = Pool['data'][number];

export function PoolPage() {
  const pool = useAnswer((signal) => callJson<Pool>('/admin/v1/pool', { signal }), []);
  const { act, busy, error } = useAct();
  if (pool.value === null) {
    return pool.error === null ? (
      <Waiting what="Asking for the pool …" />
    ) : (
      <ErrorNotice error={pool.error} again={pool.again} />
    );
  }
  const { data, models, registration } = pool.value;
  const change = ({ url, drained }: Backend) =>
    act(async () => {
      await callJson(`/admin/v1/pool/${drained === null ? 'drain' : 'undrain'}`, { method: 'POST', body: { url } });
      pool.again();
    });
  return (
    <div class="page">
      <header class="page-head">
        <h1>Pool</h1>
        <button type="button" onClick={pool.again} disabled={pool.asking}>
          Look again
        </button>
      </header>
      {error !== null && <ErrorNotice error={error} />}
      {pool.error !== null && <ErrorNotice error={pool.error} again={pool.again} />}
      {!registration && <p class="notice">This edge reads no pool directory, so nobody would see a drain.</p>}
      {data.length === 0 ? (
        <Empty title="No backend">
          <p>The setting BACKENDS names none, and none has registered.</p>
        </Empty>
      ) : (
        <>
          <ul class="figures">
            {models.map(({ id, up, backends, prefix_hit_rate, ...rest }) => (
              <li key={id}>
                <span class="figure-name">{id}</span>
                <span class="figure">
                  {inWhole(up)} <span class="note">of {inWhole(backends)} up</span>
                </span>
                <span class="small">
                  {load(rest)}
                  {typeof prefix_hit_rate === 'number' && `, ${inPercent(prefix_hit_rate)} of prefixes found`}
                </span>
              </li>
            ))}
          </ul>
          <Scroll label="Backends">
            <table class="table">
              <thead>
                <tr>
                  <th>backend</th>
                  <th>state</th>
                  <th>model</th>
                  <th>load</th>
                  <th>prefixes found</th>
                  <th>heard</th>
                  <th>
                    <span class="hidden">actions</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {data.map((backend) => (
                  <tr key={backend.url}>
                    <th scope="row">
                      <bdi>{backend.url}</bdi>
                      <span class="small block">{backend.source}</span>
                    </th>
                    <td>
                      <State of={backend} />
                    </td>
                    <td>
                      <Serves of={backend} />
                    </td>
                    <td>
                      <Load of={backend} />
                    </td>
                    <td>
                      <Hits of={backend} />
                    </td>
                    <td>
                      {typeof backend.last_heard === 'string' ? fromNow(backend.last_heard) : 'asked by the edge'}
                    </td>
                    <td class="end">
                      <button type="button" disabled={busy || !registration} onClick={() => void change(backend)}>
                        {backend.drained === null ? 'Drain' : 'Undrain'}
                        <span class="hidden"> {backend.url}</span>
                      </button>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Scroll>
        </>
      )}
    </div>
  );
}

function State({ of: { state, drained } }: { of: Backend }) {
  if (drained !== null) return <span class="state warn">drained by {drained.by}</span>;
  return (
    <span class={`state ${state === 'up' ? 'good' : state === 'gone' || state === 'out' ? 'bad' : 'warn'}`}>
      {state}
    </span>
  );
}

/** A backend of an earlier version that is not registered does not say how busy it is. */
function load({ rows, max_rows, waiting }: Record<string, unknown>): string {
  if (typeof rows !== 'number' || typeof max_rows !== 'number' || max_rows === 0) return 'load not told';
  const queue = typeof waiting === 'number' && waiting > 0 ? `, ${inWhole(waiting)} waiting` : '';
  return `${inWhole(rows)} of ${inWhole(max_rows)} rows${queue}`;
}

/** How busy it is: rows in use, and the queue behind them. */
function Load({ of: { rows, max_rows, waiting, max_waiting, running } }: { of: Backend }) {
  if (typeof rows !== 'number' || typeof max_rows !== 'number' || max_rows === 0) {
    return <span class="small">not told</span>;
  }
  return (
    <span class="limit">
      <span class="meter" style={{ '--p': Math.min(rows / max_rows, 1) }} />
      <span class="small">
        {inWhole(rows)} of {inWhole(max_rows)} rows
        {typeof running === 'number' && `, ${inWhole(running)} running`}
      </span>
      {typeof waiting === 'number' && (
        <span class="small">
          {inWhole(waiting)}
          {typeof max_waiting === 'number' && ` of ${inWhole(max_waiting)}`} waiting
        </span>
      )}
    </span>
  );
}

type Prefixes = { hit_rate: number | null; queried_tokens: number; found_tokens: number };

/** How much of the prompts was there already. */
function Hits({ of: { prefixes } }: { of: Backend }) {
  // The cast: `control/pool.ts` describes backends so that say it, and others have none.
  const said = prefixes as Prefixes | undefined;
  if (said === undefined) return <span class="small">not told</span>;
  if (said.hit_rate === null) return <span class="small">nothing was looked for yet</span>;
  return (
    <span class="limit">
      <span>{inPercent(said.hit_rate)}</span>
      <span class="small">
        {inWhole(said.found_tokens)} of {inWhole(said.queried_tokens)} tokens
      </span>
    </span>
  );
}

/** What it serves and can do, as far as it says so. */
function Serves({ of: { model, modes, region, context_length, bundle } }: { of: Backend }) {
  const facts = [
    Array.isArray(modes) && modes.length > 0 ? modes.join(', ') : null,
    typeof context_length === 'number' ? `${inWhole(context_length)} tokens of context` : null,
    typeof region === 'string' && region !== '' ? region : null,
    typeof bundle === 'string' ? `bundle ${bundle.slice(0, 8)}` : null,
  ].filter((fact) => fact !== null);
  return (
    <>
      {model ?? 'not known'}
      {facts.map((fact) => (
        <span key={fact} class="small block">
          {fact}
        </span>
      ))}
    </>
  );
}
