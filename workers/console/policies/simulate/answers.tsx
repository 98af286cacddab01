/** Both answers to each prompt, side by side. What they begin with alike is paler. */
import { useState } from 'preact/hooks';
import type { Compared, Outcome } from '#policies/simulation/outcome.ts';
import { type Messages, textOfTurns } from '#policies/simulation/read-prompts.ts';
import { inTwo, inWhole } from '../../net/words.ts';

const FILTERS = {
  all: { name: 'all', of: () => true },
  differ: { name: 'that differ', of: ({ before, after }) => before.kind !== after.kind || before.text !== after.text },
  refused: {
    name: 'that only one refuses',
    of: ({ before, after }) => (before.kind === 'refused') !== (after.kind === 'refused'),
  },
  failed: {
    name: 'that failed',
    of: ({ before, after }) => [before, after].some(({ kind, unscored }) => kind === 'failed' || unscored !== null),
  },
} as const satisfies Record<string, { name: string; of: (compared: Compared) => boolean }>;
type Filter = keyof typeof FILTERS;

const PAGE = 20;

export function Answers({
  compared,
  prompts,
  names,
}: {
  compared: readonly Compared[];
  prompts: readonly Messages[];
  names: readonly [string, string];
}) {
  const [filter, setFilter] = useState<Filter>('all');
  const [most, setMost] = useState(PAGE);
  const shown = compared.filter(FILTERS[filter].of);
  return (
    <section class="stack" aria-labelledby="answers">
      <div class="page-head">
        <h2 id="answers">Side by side</h2>
        <label class="inline">
          <span>Show</span>
          <select
            value={filter}
            onChange={(event) => {
              // The cast: the options are the filters' names.
              setFilter(event.currentTarget.value as Filter);
              setMost(PAGE);
            }}
          >
            {Object.entries(FILTERS).map(([key, { name, of }]) => (
              <option key={key} value={key}>
                {name} ({inWhole(compared.filter(of).length)})
              </option>
            ))}
          </select>
        </label>
      </div>
      {shown.length === 0 && <p class="notice">There are none.</p>}
      <ol class="pairs">
        {shown.slice(0, most).map(({ index, before, after }) => {
          const parting = partingOf(before.text, after.text);
          return (
            <li key={index}>
              <p class="prompt wrap" dir="auto">
                <span class="seq">{inWhole(index + 1)}</span> {textOfTurns(prompts[index] ?? [])}
              </p>
              <div class="two">
                <Answer name={`before, ${names[0]}`} outcome={before} parting={parting} />
                <Answer name={`after, ${names[1]}`} outcome={after} parting={parting} />
              </div>
            </li>
          );
        })}
      </ol>
      {shown.length > most && (
        <p>
          <button type="button" onClick={() => setMost(most + PAGE)}>
            Show more, of {inWhole(shown.length)}
          </button>
        </p>
      )}
    </section>
  );
}

const KINDS = {
  answered: { name: 'answered', look: 'good' },
  refused: { name: 'refused', look: 'warn' },
  failed: { name: 'failed', look: 'bad' },
} as const;

function Answer({ name, outcome, parting }: { name: string; outcome: Outcome; parting: number }) {
  const { kind, text, tokens, floor, weights, spent, scores, unscored } = outcome;
  return (
    <div class="outcome">
      <h3>
        {name} <span class={`state ${KINDS[kind].look}`}>{KINDS[kind].name}</span>
      </h3>
      <p class="outcome-text wrap" dir="auto">
        {parting < text.length ? <span class="alike">{text.slice(0, parting)}</span> : text}
        {parting < text.length && text.slice(parting)}
      </p>
      {kind === 'answered' && (
        <p class="small number">
          {inWhole(tokens)} tokens
          {floor !== null && `, floor ${inTwo(floor)}`}
          {weights !== null && `, weight ${inTwo(weights.mean)}`}
          {spent !== null && `, ${inTwo(spent)} nats spent`}
          {scores !== null && `, reward ${inTwo(scores.reward)}, cost ${inTwo(scores.cost)}`}
        </p>
      )}
      {unscored !== null && <p class="small wrap">Not scored: {unscored}</p>}
    </div>
  );
}

/** Where two texts part: at the beginning of a word. Their whole length if they never do. */
function partingOf(a: string, b: string): number {
  if (a === b) return a.length;
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  const word = a.slice(0, at).search(/\S*$/);
  return Math.max(word, 0);
}
