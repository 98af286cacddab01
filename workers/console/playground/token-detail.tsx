/** The reading of one token: what both experts thought of it, and what the gate made of that. */
import { inShort, inTwo, nats } from '../net/words.ts';
import type { ReadToken } from './ask.ts';
import { budgetWords, gateWords, isAlone, spentBy } from './gate.ts';
import type { HeldLine } from './line-of.ts';
import { shown } from './token-text.tsx';

export function TokenDetail({
  tokens,
  active,
  budget,
  line,
}: {
  tokens: readonly ReadToken[];
  active: number | null;
  budget: number | null;
  /** null until the receipt has come. */
  line: HeldLine | null;
}) {
  const token = active === null ? undefined : tokens[active];
  if (token === undefined || active === null) {
    return <p class="reading idle">Point at a token, or focus the answer and use the arrow keys, to read its gauge.</p>;
  }
  const { weight, floor, lp_s, lp_h, lp, spent, id } = token;
  const own = spentBy(tokens, active);
  return (
    <div class="reading">
      <p class="reading-head">
        <bdi class="reading-token">{shown(token.text)}</bdi>
        <span class="small">
          token {active + 1} of {tokens.length}, id {id}
        </span>
      </p>
      <dl>
        <Figure name="weight" value={inTwo(weight)} note={`floor ${inTwo(floor)}`} />
        <Figure name="lp safety" value={logProb(lp_s)} note={chance(lp_s)} />
        {lp_h === null && isAlone(token) ? (
          <Figure name="lp helpful" value="–" note="not asked" />
        ) : (
          <Figure name="lp helpful" value={logProb(lp_h)} note={chance(lp_h)} />
        )}
        <Figure name="lp drawn" value={logProb(lp)} note={chance(lp)} />
        <Figure
          name="spent"
          value={spent === null ? '?' : inTwo(spent)}
          note={`${own === null ? '' : `${own >= 0 ? '+' : ''}${inShort(own)} · `}of ${nats(budget)}`}
        />
      </dl>
      <p class="small gate-words">
        {[gateWords(token, line), budgetWords(tokens, { index: active, line })]
          .filter((words) => words !== null)
          .join(' ')}
      </p>
      <Candidates of={token} />
    </div>
  );
}

/** The likeliest tokens of the distribution drawn from. The drawn one may be none of them. */
function Candidates({ of: token }: { of: ReadToken }) {
  const { id: drawn, top = [], topTexts = [] } = token;
  if (top.length === 0) return null;
  return (
    <table class="candidates" aria-label="Likeliest tokens">
      <thead>
        <tr>
          <th>likeliest</th>
          <th class="end">p</th>
          <th class="end">safety</th>
          <th class="end">helpful</th>
        </tr>
      </thead>
      <tbody>
        {top.map(({ id, lp, lp_s, lp_h }, at) => (
          <tr key={id} class={id === drawn ? 'drawn' : undefined}>
            <th scope="row">
              <bdi>{topTexts[at] === undefined ? `id ${id}` : shown(topTexts[at])}</bdi>
              {id === drawn && <span class="note"> drawn</span>}
            </th>
            <td class="end number">{share(lp)}</td>
            <td class="end number">{share(lp_s)}</td>
            <td class="end number">{lp_h === null && isAlone(token) ? '–' : share(lp_h)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const share = (lp: number | null) => (lp === null ? '0' : inShort(Math.exp(lp)));

function Figure({ name, value, note }: { name: string; value: string; note: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {value}
        <span class="note">{note}</span>
      </dd>
    </div>
  );
}

/** In nats. JSON has no infinity, so null is the log-probability of something impossible. */
const logProb = (value: number | null) => (value === null ? '−∞' : inTwo(value));
const chance = (value: number | null) => (value === null ? 'never' : `p ${inShort(Math.exp(value))}`);
