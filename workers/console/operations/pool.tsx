/** The backends, and taking one out and back in. */
import type * as z from 'zod';
import type { PoolAnswer } from '../../control/pool.ts';
import { callJson } from '../net/api.ts';
import { useAnswer } from '../net/use-answer.ts';
import { fromNow, inPercent, inWhole } from '../net/words.ts';
import { useAct } from '../parts/act.ts';
import { Empty, ErrorNotice, Waiting } from '../parts/notice.tsx';

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
            {models.map(({ id, up, backends, ...rest }) => (
              <li key={id}>
                <span class="figure-name">{id}</span>
                <span class="figure">
                  {inWhole(up)} <span class="note">of {inWhole(backends)} up</span>
                </span>
                <span class="small">{load(rest)}</span>
              </li>
            ))}
          </ul>
          <div class="scroll">
            <table class="table">
              <thead>
                <tr>
                  <th>backend</th>
                  <th>state</th>
                  <th>model</th>
                  <th>load</th>
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
                    <td>{backend.model ?? 'not known'}</td>
                    <td>{load(backend)}</td>
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
          </div>
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

/** Only a registered backend says how busy it is. */
function load({ rows, max_rows, waiting, prefix_hit_rate }: Record<string, unknown>): string {
  if (typeof rows !== 'number' || typeof max_rows !== 'number' || max_rows === 0) return 'load not told';
  const queue = typeof waiting === 'number' && waiting > 0 ? `, ${inWhole(waiting)} waiting` : '';
  const prefixes = typeof prefix_hit_rate === 'number' ? `, ${inPercent(prefix_hit_rate)} of prefixes found` : '';
  return `${inWhole(rows)} of ${inWhole(max_rows)} rows${queue}${prefixes}`;
}
