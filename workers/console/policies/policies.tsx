/** A tenant's policies: the versions, which is active, and an editor for the next one. */
import { useState } from 'preact/hooks';
import type * as z from 'zod';
import type { HistoryAnswer, PolicyAnswer, TenantAnswer } from '../../control/admin-answers.ts';
import { call, callJson } from '../net/api.ts';
import { go } from '../net/router.ts';
import { may, useSession } from '../net/session.tsx';
import { useAnswer } from '../net/use-answer.ts';
import { fromNow, inPercent, inTime } from '../net/words.ts';
import { useAct } from '../parts/act.ts';
import { Empty, ErrorNotice, Waiting } from '../parts/notice.tsx';
import { useTenant } from '../parts/tenant-choice.tsx';
import { Activate } from './activate.tsx';
import { Diff } from './diff.tsx';
import { Draft } from './draft.tsx';

export type History = z.infer<typeof HistoryAnswer>;
type Stored = z.infer<typeof PolicyAnswer>;

export function PoliciesPage({ path: [named, version] }: { path: string[] }) {
  const { id, choice, list } = useTenant('policies', named);
  if (id === null) {
    if (list.error !== null) return <ErrorNotice error={list.error} again={list.again} />;
    return list.asking ? <Waiting what="Reading the tenants …" /> : <Empty title="No tenant yet" />;
  }
  return <Policies key={id} id={id} version={version ?? null} choice={choice} />;
}

/** What the page shows of a tenant, with the revision that a change has to name. */
type Standing = { history: History; revision: string };

function Policies({
  id,
  version,
  choice,
}: {
  id: string;
  /** The version in the address; null: the active one. */
  version: string | null;
  choice: preact.ComponentChildren;
}) {
  const session = useSession();
  const at = `/admin/v1/tenants/${id}`;
  const standing = useAnswer(
    async (signal): Promise<Standing> => {
      const [tenant, history] = await Promise.all([
        call(at, { signal }),
        callJson<History>(`${at}/policies`, { signal }),
      ]);
      // The cast: the edge has made it by its schema.
      const { revision } = (await tenant.json()) as TenantAnswer;
      return { history, revision: `"${revision}"` };
    },
    [id],
  );
  const { act, busy, error } = useAct();
  const [asking, setAsking] = useState(false);
  if (standing.value === null) {
    return standing.error === null ? (
      <Waiting what="Reading the policies …" />
    ) : (
      <ErrorNotice error={standing.error} again={standing.again} />
    );
  }
  const { history, revision } = standing.value;
  const { active, canary } = history;
  const shown = version ?? active;
  const canChange = may(session, 'admin');
  const rollback = () =>
    act(async () => {
      await callJson(`${at}/rollback`, { method: 'POST', ifMatch: revision });
      standing.again();
      go('policies', id);
    });
  return (
    <div class="page wide">
      <header class="page-head">
        <h1>
          Policy of <bdi>{id}</bdi>
        </h1>
        {choice}
        {canChange && (
          <button type="button" class="danger" disabled={busy} onClick={() => void rollback()}>
            {canary === null ? 'Roll back' : 'End the canary'}
          </button>
        )}
      </header>
      {error !== null && <ErrorNotice error={error} />}
      {canary !== null && (
        <p class="notice">
          {inPercent(canary.share)} of the prompts get the canary <code>{canary.version.slice(0, 8)}</code>.
        </p>
      )}
      <div class="policy-columns">
        <section class="stack" aria-label="The document">
          <Shown
            key={shown}
            at={at}
            version={shown}
            isActive={shown === active}
            canChange={canChange}
            onDraft={(made) => {
              standing.again();
              go('policies', id, made);
            }}
          />
          {shown !== active && (
            <>
              <Diff at={at} version={shown} />
              {canChange && (
                <p>
                  <button type="button" class="primary" onClick={() => setAsking(true)}>
                    Activate {shown.slice(0, 8)} …
                  </button>
                </p>
              )}
            </>
          )}
          {asking && (
            <Activate
              at={at}
              version={shown}
              revision={revision}
              onClose={() => setAsking(false)}
              onDone={() => {
                setAsking(false);
                standing.again();
                go('policies', id);
              }}
            />
          )}
        </section>
        <Versions id={id} history={history} shown={shown} />
      </div>
    </div>
  );
}

function Shown({
  at,
  version,
  isActive,
  canChange,
  onDraft,
}: {
  at: string;
  version: string;
  isActive: boolean;
  canChange: boolean;
  onDraft: (version: string) => void;
}) {
  const stored = useAnswer((signal) => callJson<Stored>(`${at}/policies/${version}`, { signal }), [at, version]);
  if (stored.value === null) {
    return stored.error === null ? (
      <Waiting what="Reading the version …" />
    ) : (
      <ErrorNotice error={stored.error} again={stored.again} />
    );
  }
  const { policy, problem, created_at } = stored.value;
  return (
    <>
      <p class="small">
        <code>{version.slice(0, 16)}</code>, {isActive ? 'active' : 'a draft or an earlier version'}, written{' '}
        {inTime(created_at)}
      </p>
      {problem !== null && <p class="notice error">This version is broken, so the strictest policy holds: {problem}</p>}
      <Draft at={at} policy={policy} canChange={canChange} onDraft={onDraft} />
    </>
  );
}

function Versions({ id, history, shown }: { id: string; history: History; shown: string }) {
  const { active, canary, versions, activations } = history;
  const state = (version: string) => (version === active ? 'active' : version === canary?.version ? 'canary' : '');
  const newest = [...versions].reverse();
  return (
    <aside class="stack" aria-label="History">
      <h2>Versions</h2>
      <ul class="versions">
        {newest.map(({ version, created_at }) => (
          <li key={version}>
            <button
              type="button"
              class="version"
              aria-current={version === shown ? 'true' : undefined}
              onClick={() => go('policies', id, version)}
            >
              <code>{version.slice(0, 8)}</code>
              <span class="small">{fromNow(created_at)}</span>
              <span class={`state ${state(version) === 'active' ? 'good' : 'warn'}`} hidden={state(version) === ''}>
                {state(version)}
              </span>
            </button>
          </li>
        ))}
      </ul>
      <h2>Activations</h2>
      <ol class="activations small">
        {[...activations]
          .sort((a, b) => b.seq - a.seq)
          .slice(0, MOST_SHOWN)
          .map(({ seq, at, actor, version, share }) => (
            <li key={seq}>
              <code>{version.slice(0, 8)}</code> {share < 1 ? `for ${inPercent(share)}` : ''} by {actor}, {inTime(at)}
            </li>
          ))}
      </ol>
    </aside>
  );
}

const MOST_SHOWN = 20;
