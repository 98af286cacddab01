/** One prompt of the bench: what comes of it, what fired, and who set each bound. */
import { textOfTurns } from '#policies/simulation/read-prompts.ts';
import { inPercent, inTwo, nats } from '../../net/words.ts';
import { BoundsTable } from '../../parts/bounds-table.tsx';
import { CopyButton } from '../../parts/copy-button.tsx';
import { ErrorNotice } from '../../parts/notice.tsx';
import { type Benched, type Explained, outcomeOf, testOf } from './bench.ts';

const ACTIONS = {
  mix: 'Answered',
  safety_only: 'Answered by the safety expert alone',
  refuse: 'Refused',
  forbid: 'The mode is forbidden',
} as const;

export function BenchRow({ row, waiting }: { row: Benched; waiting: boolean }) {
  const { messages, found, active, error } = row;
  return (
    <li class="stack tight">
      <p class="prompt wrap" dir="auto">
        {textOfTurns(messages)}
      </p>
      {error !== null && <ErrorNotice error={error} />}
      {found === null && error === null && <p class="small">{waiting ? 'Waiting …' : 'Not asked'}</p>}
      {found !== null && (
        <>
          <Line of={found} />
          {active !== null && <Beside now={found} active={active} />}
          <Fired of={found} />
          <details>
            <summary>Who set which bound</summary>
            <BoundsTable bounds={found.bounds} />
            <Looks of={found} />
            <CopyAsTest row={row} />
          </details>
        </>
      )}
    </li>
  );
}

function Line({ of: found }: { of: Explained }) {
  const { action, floor, budget } = outcomeOf(found);
  const answered = action === 'mix';
  return (
    <p>
      <span class={`state ${action === 'mix' ? 'good' : action === 'safety_only' ? 'warn' : 'bad'}`}>
        {ACTIONS[action]}
      </span>
      {answered && (
        <>
          {' '}
          floor <b class="number">{inTwo(floor)}</b>, budget <b class="number">{nats(budget)}</b>
        </>
      )}
      {found.refusal !== null && (
        <>
          , in these words: <bdi>{found.refusal}</bdi>
        </>
      )}
    </p>
  );
}

function Beside({ now, active }: { now: Explained; active: Explained }) {
  const [here, there] = [outcomeOf(now), outcomeOf(active)];
  const same = here.action === there.action && here.floor === there.floor && here.budget === there.budget;
  if (same) return <p class="small">The same under the active version.</p>;
  return (
    <p class="small">
      Under the active version: {ACTIONS[there.action].toLowerCase()}
      {there.action === 'mix' && `, floor ${inTwo(there.floor)}, budget ${nats(there.budget)}`}.
    </p>
  );
}

function Fired({ of: { fired, problems } }: { of: Explained }) {
  return (
    <>
      {fired.length === 0 ? (
        <p class="small">No rule fires.</p>
      ) : (
        <ul class="fired small">
          {fired.map(({ signal, look, probability, force, levels }) => (
            <li key={signal}>
              <b>{words(signal)}</b> {inPercent(probability)} by the {look}, at {inPercent(force)} of the rule’s force,
              of {levels.join(', ')}
            </li>
          ))}
        </ul>
      )}
      {problems.map(({ level, problem }) => (
        <p key={level} class="notice error">
          The {level}’s policy is broken, so the strictest holds: {problem}
        </p>
      ))}
    </>
  );
}

/** Below it, a category says nothing. */
const WORTH_SHOWING = 0.05;

function Looks({ of: { signals, second_look: second, shadow } }: { of: Explained }) {
  const found = Object.entries(signals)
    .filter(([, probability]) => probability >= WORTH_SHOWING)
    .sort(([, a], [, b]) => b - a);
  const seen = (second?.categories ?? []).filter(({ probability }) => probability >= WORTH_SHOWING);
  const listed = (all: readonly (readonly [string, number])[]) =>
    all.length === 0 ? 'nothing of note' : all.map(([name, value]) => `${words(name)} ${inPercent(value)}`).join(', ');
  return (
    <div class="small">
      <p>The edge finds {listed(found)}.</p>
      {second !== null && (
        <p>
          The backend finds {listed(seen.map(({ name, probability }) => [name, probability] as const))}
          {second.tightened ? ', and tightens the line' : ''}.
        </p>
      )}
      {shadow.map(({ signal, probability, tightens }) => (
        <p key={signal}>
          In shadow: {words(signal)} {inPercent(probability)}{' '}
          {tightens ? 'would tighten the line.' : 'would change nothing.'}
        </p>
      ))}
    </div>
  );
}

function CopyAsTest({ row }: { row: Benched }) {
  const test = testOf(row);
  if (test === null) return null;
  return <CopyButton text={test} label="Copy as a test of the policy" />;
}

const words = (name: string) => name.replaceAll('_', ' ');
