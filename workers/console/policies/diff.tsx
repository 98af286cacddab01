/** What sets one version apart from another, and which way each change goes. */
import { Fragment } from 'preact';
import type * as z from 'zod';
import type { DiffAnswer } from '../../control/admin-answers.ts';
import { callJson } from '../net/api.ts';
import { useAnswer } from '../net/use-answer.ts';
import { ErrorNotice, Waiting } from '../parts/notice.tsx';
import { Scroll } from '../parts/scroll.tsx';

type Difference = z.infer<typeof DiffAnswer>;
const EFFECTS = { tighter: 'good', looser: 'bad', mixed: 'warn', none: '' } as const;

export function Diff({
  at,
  from,
  to,
  names: [before, after],
}: {
  at: string;
  from: string;
  to: string;
  /** What the table calls the two. */
  names: readonly [string, string];
}) {
  const diff = useAnswer(
    (signal) => callJson<Difference>(`${at}/policies/${to}/diff?from=${from}`, { signal }),
    [at, from, to],
  );
  if (diff.error !== null) return <ErrorNotice error={diff.error} again={diff.again} />;
  if (diff.value === null || diff.value.from !== from || diff.value.to !== to) return <Waiting what="Comparing …" />;
  const { changes } = diff.value;
  if (changes.length === 0) return <p class="notice">Both say the same.</p>;
  return (
    <Scroll label={`Changes from ${before} to ${after}`}>
      <table class="table">
        <caption class="hidden">{`Changes from ${before} to ${after}`}</caption>
        <thead>
          <tr>
            <th>field</th>
            <th>{before}</th>
            <th>{after}</th>
            <th>effect</th>
          </tr>
        </thead>
        <tbody>
          {changes.map(({ path, from, to, effect }) => (
            <tr key={path}>
              <th scope="row">
                <Path of={path} />
              </th>
              <td>
                <Value of={from} />
              </td>
              <td>
                <Value of={to} />
              </td>
              <td>
                <span class={`state ${EFFECTS[effect]}`}>{effect === 'none' ? 'no bound' : effect}</span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

/** It may break after a dot. */
function Path({ of: path }: { of: string }) {
  return (
    <code>
      {path.split('.').map((step, index) => (
        <Fragment key={index}>
          {index > 0 && (
            <>
              .<wbr />
            </>
          )}
          {step}
        </Fragment>
      ))}
    </code>
  );
}

function Value({ of: value }: { of: unknown }) {
  if (value === undefined) return <span class="small">was not there</span>;
  return (
    <code class={`wrap ${typeof value === 'object' && value !== null ? 'json' : ''}`}>{JSON.stringify(value)}</code>
  );
}
