/** The canary: which share of the prompts gets it, and what becomes of it. */
import { useState } from 'preact/hooks';
import { go } from '../net/router.ts';
import { may, useSession } from '../net/session.tsx';
import { inPercent, inTime } from '../net/words.ts';
import { Empty } from '../parts/notice.tsx';
import { Activate } from './activate.tsx';
import { CanaryTraffic } from './canary-traffic.tsx';
import { type PartProps, type Place, pathTo, short } from './common/place.ts';
import { Diff } from './diff.tsx';
import { RollBack } from './roll-back.tsx';

const FIRST_SHARE = 0.05;

export function CanaryPart({ place }: PartProps) {
  const { id, history, version, again } = place;
  const { active, canary } = history;
  const canChange = may(useSession(), 'admin');
  const [asking, setAsking] = useState<'start' | 'promote' | 'share' | 'end' | null>(null);
  const close = () => setAsking(null);
  const done = () => {
    close();
    again();
    if (asking === 'promote') go(...pathTo({ id, active, version: active, part: 'canary' }));
  };
  if (canary === null) {
    return (
      <>
        <Empty title="No canary is on">
          <p>
            A canary is a version for a share of the prompts, always the same ones, while the rest stays under the
            active version. Which ones depends on a secret, so no client can choose its side.
          </p>
          {version === active ? (
            <p>Choose another version to start one.</p>
          ) : (
            canChange && (
              <p>
                <button type="button" class="primary" onClick={() => setAsking('start')}>
                  Start a canary of {short(version)} …
                </button>
              </p>
            )
          )}
        </Empty>
        {asking === 'start' && <Activate place={place} share={FIRST_SHARE} onClose={close} onDone={done} />}
      </>
    );
  }
  const ofCanary = { ...place, version: canary.version };
  return (
    <>
      <div class="canary">
        <Side name="active" version={active} share={1 - canary.share} />
        <Side name="canary" version={canary.version} share={canary.share} />
        <div class="share-bar" aria-hidden="true">
          <span style={{ '--share': canary.share }} />
        </div>
      </div>
      <p class="small">{since(canary.version, history)}</p>
      {canChange && (
        <div class="actions start">
          <button type="button" class="primary" onClick={() => setAsking('promote')}>
            Promote it to all …
          </button>
          <button type="button" onClick={() => setAsking('share')}>
            Change its share …
          </button>
          <button type="button" class="danger" onClick={() => setAsking('end')}>
            Withdraw it …
          </button>
        </div>
      )}
      <CanaryTraffic place={place} share={canary.share} since={begunAt(canary.version, history)?.at ?? null} />
      <h2>What it changes</h2>
      <Diff at={place.at} from={active} to={canary.version} names={['active', 'canary']} />
      {asking === 'promote' && <Activate place={ofCanary} share={1} onClose={close} onDone={done} />}
      {asking === 'share' && <Activate place={ofCanary} share={canary.share} onClose={close} onDone={done} />}
      {asking === 'end' && <RollBack place={place} onClose={close} onDone={done} />}
    </>
  );
}

function Side({ name, version, share }: { name: string; version: string; share: number }) {
  return (
    <div class="canary-side">
      <span class="figure-name">{name}</span>
      <span class="figure">{inPercent(share)}</span>
      <code>{short(version)}</code>
    </div>
  );
}

/** When the canary got the share that it has. */
function begunAt(version: string, { activations }: Place['history']) {
  return [...activations].sort((a, b) => b.seq - a.seq).find((each) => each.version === version);
}

function since(version: string, history: Place['history']): string {
  const begun = begunAt(version, history);
  return begun === undefined ? '' : `This share since ${inTime(begun.at)}, by ${begun.actor}.`;
}
