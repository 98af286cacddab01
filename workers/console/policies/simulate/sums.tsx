/** How the two versions differ over all prompts. */
import { SUMS, type Summary } from '#policies/simulation/summary.ts';
import { inShort, inWhole } from '../../net/words.ts';
import { Scroll } from '../../parts/scroll.tsx';

export function Sums({ summary, names }: { summary: Summary; names: readonly [string, string] }) {
  const { before, after, prompts, differ, refusedOnlyBefore, refusedOnlyAfter } = summary;
  const rows = SUMS.filter(([field]) => (before[field] ?? 0) !== 0 || (after[field] ?? 0) !== 0);
  return (
    <section class="stack" aria-labelledby="sums">
      <h2 id="sums">In the sum</h2>
      <Scroll label="The sums">
        <table class="table numbers">
          <thead>
            <tr>
              <th>{inWhole(prompts)} prompts</th>
              <th class="end">
                before, <code>{names[0]}</code>
              </th>
              <th class="end">
                after, <code>{names[1]}</code>
              </th>
              <th class="end">difference</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(([field, name]) => (
              <tr key={field}>
                <th scope="row">{name}</th>
                <td class="end number">{shown(before[field])}</td>
                <td class="end number">{shown(after[field])}</td>
                <td class="end number">{difference(before[field], after[field])}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      <p>
        {inWhole(differ)} {differ === 1 ? 'answer differs' : 'answers differ'}. Refused only before:{' '}
        {inWhole(refusedOnlyBefore.length)}. Refused only after: {inWhole(refusedOnlyAfter.length)}.
      </p>
    </section>
  );
}

const shown = (value: number | null) => (value === null ? '–' : inShort(value));

function difference(before: number | null, after: number | null): string {
  if (before === null || after === null) return '–';
  const text = inShort(after - before);
  return after > before && text !== '0' ? `+${text}` : text;
}
