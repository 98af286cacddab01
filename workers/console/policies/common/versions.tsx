/** A tenant's versions, and when which was active. */

import { fromNow, inPercent, inTime } from '../../net/words.ts';
import type { Place } from './place.ts';
import { short } from './place.ts';

type History = Place['history'];

const MOST_SHOWN = 20;

export function Versions({
  history,
  shown,
  onChoose,
}: {
  history: History;
  shown: string;
  onChoose: (version: string) => void;
}) {
  const { activations } = history;
  return (
    <aside class="stack" aria-label="History">
      <h2>Versions</h2>
      <ul class="versions">
        {[...history.versions].reverse().map(({ version, created_at }) => {
          const state = stateOf(version, history);
          return (
            <li key={version}>
              <button
                type="button"
                class="version"
                aria-current={version === shown ? 'true' : undefined}
                onClick={() => onChoose(version)}
              >
                <code>{short(version)}</code>
                <span class="small">{fromNow(created_at)}</span>
                {state !== null && <span class={`state ${state === 'active' ? 'good' : 'warn'}`}>{state}</span>}
              </button>
            </li>
          );
        })}
      </ul>
      <h2>Activations</h2>
      <ol class="activations small">
        {[...activations]
          .sort((a, b) => b.seq - a.seq)
          .slice(0, MOST_SHOWN)
          .map(({ seq, at, actor, version, share }) => (
            <li key={seq}>
              <code>{short(version)}</code> {share < 1 ? `for ${inPercent(share)}` : ''} by {actor}, {inTime(at)}
            </li>
          ))}
      </ol>
    </aside>
  );
}

function stateOf(version: string, { active, canary }: History): 'active' | 'canary' | null {
  if (version === active) return 'active';
  return version === canary?.version ? 'canary' : null;
}

/** A choice of one version, newest first. */
export function VersionChoice({
  label,
  history,
  value,
  onChange,
}: {
  label: string;
  history: History;
  value: string;
  onChange: (version: string) => void;
}) {
  return (
    <label class="inline">
      <span>{label}</span>
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {[...history.versions].reverse().map(({ version, created_at }) => {
          const state = stateOf(version, history);
          return (
            <option key={version} value={version}>
              {short(version)}
              {state === null ? '' : `, ${state}`}, {fromNow(created_at)}
            </option>
          );
        })}
      </select>
    </label>
  );
}
