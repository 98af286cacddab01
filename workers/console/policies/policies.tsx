/** A tenant's policies: the versions, which is active, and what can be done with each. */
import type { ComponentChildren, ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type * as z from 'zod';
import type { HistoryAnswer, TenantAnswer } from '../../control/admin-answers.ts';
import { callJson } from '../net/api.ts';
import { addressOf, follow, go } from '../net/router.ts';
import { may, type SessionAnswer, useSession } from '../net/session.tsx';
import { useAnswer } from '../net/use-answer.ts';
import { inPercent } from '../net/words.ts';
import { later } from '../parts/later.tsx';
import { Empty, ErrorNotice, Waiting } from '../parts/notice.tsx';
import { useTenant } from '../parts/tenant-choice.tsx';
import { ACTIVE, type PartProps, type Place, pathTo, short } from './common/place.ts';
import { Versions } from './common/versions.tsx';
import { DocumentPart } from './document.tsx';
import { RollBack } from './roll-back.tsx';

type Part = {
  /** In the address. */
  name: string;
  title: string;
  isFor: (session: SessionAnswer) => boolean;
  Part: ComponentType<PartProps>;
};

const isReader = (session: SessionAnswer) => may(session, 'read');
const isOwner = (session: SessionAnswer) => may(session, 'admin');

const PARTS: readonly Part[] = [
  { name: '', title: 'Document', isFor: isReader, Part: DocumentPart },
  {
    name: 'compare',
    title: 'Compare',
    isFor: isReader,
    Part: later<PartProps>(async () => (await import('./compare.tsx')).ComparePart),
  },
  {
    name: 'tests',
    title: 'Tests',
    isFor: isOwner,
    Part: later<PartProps>(async () => (await import('./tests.tsx')).TestsPart),
  },
  {
    name: 'explain',
    title: 'Explain',
    isFor: isOwner,
    Part: later<PartProps>(async () => (await import('./explain/explain.tsx')).ExplainPart),
  },
  {
    name: 'simulate',
    title: 'Simulate',
    isFor: (session) => isOwner(session) && may(session, 'inference'),
    Part: later<PartProps>(async () => (await import('./simulate/simulate.tsx')).SimulatePart),
  },
  {
    name: 'canary',
    title: 'Canary',
    isFor: isReader,
    Part: later<PartProps>(async () => (await import('./canary.tsx')).CanaryPart),
  },
  {
    name: 'replay',
    title: 'Replay',
    isFor: isOwner,
    Part: later<PartProps>(async () => (await import('./replay.tsx')).ReplayPart),
  },
];

export function PoliciesPage({ path: [named, version, part] }: { path: string[] }) {
  const { id, choice, list } = useTenant('policies', named);
  if (id === null) {
    if (list.error !== null) return <ErrorNotice error={list.error} again={list.again} />;
    return list.asking ? <Waiting what="Reading the tenants …" /> : <Empty title="No tenant yet" />;
  }
  return <Policies key={id} id={id} version={version ?? ACTIVE} part={part ?? ''} choice={choice} />;
}

type Standing = Pick<Place, 'tenant' | 'history'>;

function Policies({
  id,
  version,
  part: wanted,
  choice,
}: {
  id: string;
  version: string;
  part: string;
  choice: ComponentChildren;
}) {
  const session = useSession();
  const at = `/admin/v1/tenants/${id}`;
  const standing = useAnswer(
    async (signal): Promise<Standing> => {
      const [tenant, history] = await Promise.all([
        callJson<TenantAnswer>(at, { signal }),
        callJson<z.infer<typeof HistoryAnswer>>(`${at}/policies`, { signal }),
      ]);
      return { tenant, history };
    },
    [id],
  );
  const [rolling, setRolling] = useState(false);
  if (standing.value === null) {
    return standing.error === null ? (
      <Waiting what="Reading the policies …" />
    ) : (
      <ErrorNotice error={standing.error} again={standing.again} />
    );
  }
  const { tenant, history } = standing.value;
  const { active, canary } = history;
  const shown = version === ACTIVE ? active : version;
  const place: Place = {
    ...{ id, at, tenant, history },
    ...{ revision: `"${tenant.revision}"`, version: shown, again: standing.again },
  };
  const parts = PARTS.filter(({ isFor }) => isFor(session));
  const part = parts.find(({ name }) => name === wanted) ?? parts[0];
  if (part === undefined) return <Empty title="Nothing here is for this key" />;
  const where = { id, active, part: part.name };
  return (
    <div class="page wide">
      <header class="page-head">
        <h1>
          Policy of <bdi>{id}</bdi>
        </h1>
        {choice}
        {may(session, 'admin') && (
          <button type="button" class="danger" onClick={() => setRolling(true)}>
            {canary === null ? 'Roll back …' : 'End the canary …'}
          </button>
        )}
      </header>
      {standing.error !== null && <ErrorNotice error={standing.error} again={standing.again} />}
      {canary !== null && (
        <p class="notice">
          {inPercent(canary.share)} of the prompts get the canary <code>{short(canary.version)}</code>.
        </p>
      )}
      <Parts parts={parts} current={part.name} pathOf={(name) => pathTo({ ...where, version: shown, part: name })} />
      <div class="policy-columns">
        <section class="stack" aria-label={part.title}>
          <part.Part key={`${part.name} ${shown}`} place={place} />
        </section>
        <Versions history={history} shown={shown} onChoose={(chosen) => go(...pathTo({ ...where, version: chosen }))} />
      </div>
      {rolling && (
        <RollBack
          place={place}
          onClose={() => setRolling(false)}
          onDone={() => {
            setRolling(false);
            standing.again();
            go(...pathTo({ ...where, version: active }));
          }}
        />
      )}
    </div>
  );
}

function Parts({
  parts,
  current,
  pathOf,
}: {
  parts: readonly Part[];
  current: string;
  pathOf: (name: string) => string[];
}) {
  const chosen = useRef<HTMLAnchorElement>(null);
  // On a phone there are more than fit.
  useEffect(() => chosen.current?.scrollIntoView({ block: 'nearest', inline: 'nearest' }), [current]);
  return (
    <nav class="parts" aria-label="Parts of the policy">
      {parts.map(({ name, title }) => (
        <a
          key={name}
          {...(name === current && { ref: chosen })}
          href={addressOf(...pathOf(name))}
          aria-current={name === current ? 'page' : undefined}
          onClick={(event) => follow(event, ...pathOf(name))}
        >
          {title}
        </a>
      ))}
    </nav>
  );
}
