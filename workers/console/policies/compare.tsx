/** Any two versions, field by field. */
import { useState } from 'preact/hooks';
import { Empty } from '../parts/notice.tsx';
import { type PartProps, short } from './common/place.ts';
import { VersionChoice } from './common/versions.tsx';
import { Diff } from './diff.tsx';

export function ComparePart({ place: { at, version, history } }: PartProps) {
  const [from, setFrom] = useState(() => baseOf(version, history));
  const [to, setTo] = useState(version);
  if (history.versions.length < 2) {
    return (
      <Empty title="There is one version only">
        <p>The next one that is stored can be compared with it.</p>
      </Empty>
    );
  }
  const swap = () => {
    setFrom(to);
    setTo(from);
  };
  return (
    <>
      <div class="actions start">
        <VersionChoice label="From" history={history} value={from} onChange={setFrom} />
        <VersionChoice label="to" history={history} value={to} onChange={setTo} />
        <button type="button" onClick={swap}>
          Swap
        </button>
      </div>
      <Diff at={at} from={from} to={to} names={[short(from), short(to)]} />
    </>
  );
}

/** A version is compared with the active one, and that with what was active before. */
function baseOf(version: string, { active, activations, versions }: PartProps['place']['history']): string {
  if (version !== active) return active;
  const before = [...activations]
    .sort((a, b) => b.seq - a.seq)
    .find((each) => each.share === 1 && each.version !== active);
  return before?.version ?? versions.find((each) => each.version !== active)?.version ?? active;
}
