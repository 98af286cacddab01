/** What sets a version apart from the active one, and which way each change goes. */
import type * as z from 'zod';
import type { DiffAnswer } from '../../control/admin-answers.ts';
import { callJson } from '../net/api.ts';
import { useAnswer } from '../net/use-answer.ts';
import { ErrorNotice, Waiting } from '../parts/notice.tsx';

type Difference = z.infer<typeof DiffAnswer>;
const EFFECTS = { tighter: 'good', looser: 'bad', mixed: 'warn', none: '' } as const;

export function Diff({ at, version }: { at: string; version: string }) {
  const diff = useAnswer((signal) => callJson<Difference>(`${at}/policies/${version}/diff`, { signal }), [at, version]);
  if (diff.value === null) {
    return diff.error === null ? <Waiting what="Comparing …" /> : <ErrorNotice error={diff.error} again={diff.again} />;
  }
  const { changes } = diff.value;
  if (changes.length === 0) return <p class="notice">It says the same as the active version.</p>;
  return (
    <div class="scroll">
      <table class="table">
        <caption class="hidden">Changes against the active version</caption>
        <thead>
          <tr>
            <th>field</th>
            <th>active</th>
            <th>this version</th>
            <th>effect</th>
          </tr>
        </thead>
        <tbody>
          {changes.map(({ path, from, to, effect }) => (
            <tr key={path}>
              <th scope="row">
                <code class="wrap">{path}</code>
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
    </div>
  );
}

function Value({ of: value }: { of: unknown }) {
  if (value === undefined) return <span class="small">was not there</span>;
  return <code class="wrap">{JSON.stringify(value)}</code>;
}
