/** A version's document in an editor, its difference from the active one, and its activation. */
import { useState } from 'preact/hooks';
import type * as z from 'zod';
import type { PolicyAnswer } from '../../control/admin-answers.ts';
import { callJson } from '../net/api.ts';
import { go } from '../net/router.ts';
import { may, useSession } from '../net/session.tsx';
import { useAnswer } from '../net/use-answer.ts';
import { inTime } from '../net/words.ts';
import { ErrorNotice, Waiting } from '../parts/notice.tsx';
import { Activate } from './activate.tsx';
import { type PartProps, pathTo, short } from './common/place.ts';
import { Diff } from './diff.tsx';
import { Draft } from './draft.tsx';

type Stored = z.infer<typeof PolicyAnswer>;

export function DocumentPart({ place }: PartProps) {
  const { id, at, version, history, again } = place;
  const canChange = may(useSession(), 'admin');
  const [asking, setAsking] = useState(false);
  const stored = useAnswer((signal) => callJson<Stored>(`${at}/policies/${version}`, { signal }), [at, version]);
  if (stored.value === null) {
    return stored.error === null ? (
      <Waiting what="Reading the version …" />
    ) : (
      <ErrorNotice error={stored.error} again={stored.again} />
    );
  }
  const { policy, problem, created_at } = stored.value;
  const { active, canary } = history;
  const isActive = version === active;
  const where = { id, active, part: '' };
  return (
    <>
      <p class="small">
        <code>{version.slice(0, 16)}</code>,{' '}
        {isActive ? 'active' : version === canary?.version ? 'the canary' : 'a draft or an earlier version'}, written{' '}
        {inTime(created_at)}
      </p>
      {problem !== null && <p class="notice error">This version is broken, so the strictest policy holds: {problem}</p>}
      <Draft
        at={at}
        version={version}
        policy={policy}
        canChange={canChange}
        onDraft={(made) => {
          again();
          go(...pathTo({ ...where, version: made }));
        }}
      />
      {!isActive && (
        <>
          <Diff at={at} from={active} to={version} names={['active', 'this version']} />
          {canChange && (
            <p>
              <button type="button" class="primary" onClick={() => setAsking(true)}>
                Activate {short(version)} …
              </button>
            </p>
          )}
        </>
      )}
      {asking && (
        <Activate
          place={place}
          onClose={() => setAsking(false)}
          onDone={() => {
            setAsking(false);
            again();
            go(...pathTo({ ...where, version: active }));
          }}
        />
      )}
    </>
  );
}
