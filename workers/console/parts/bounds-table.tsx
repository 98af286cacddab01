/** The bounds of a line, and which level's field set each. */
import type { ExplainedBound } from '#policies/explain.ts';
import { inShort } from '../net/words.ts';

export function BoundsTable({ bounds }: { bounds: readonly ExplainedBound[] }) {
  return (
    <table class="bounds">
      <thead>
        <tr>
          <th>bound</th>
          <th>value</th>
          <th>set by</th>
        </tr>
      </thead>
      <tbody>
        {bounds.map(({ bound, value, rule, set_by }) => (
          <tr key={bound}>
            <th scope="row">{bound}</th>
            <td class="number">{shown(value)}</td>
            <td>
              {set_by.length === 0
                ? 'nobody'
                : [...new Set(set_by.map(({ level, field }) => `${level}: ${field}`))].join(', ')}
              {rule !== null && <span class="small"> for {rule.replaceAll('_', ' ')}</span>}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function shown(value: unknown): string {
  if (value === null) return '∞';
  if (typeof value === 'number') return inShort(value);
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
