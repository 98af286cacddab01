/** The reading of one token: what both experts thought of it, and what the gate made of that. */
import type { TokenTrace } from '#shared/api/plimsoll-extension.ts';
import { inShort, inTwo, nats } from '../net/words.ts';
import { gateWords, isAlone, spentBy } from './gate.ts';
import { shown } from './token-text.tsx';

export function TokenDetail({
  tokens,
  active,
  budget,
}: {
  tokens: readonly TokenTrace[];
  active: number | null;
  budget: number | null;
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
      <p class="small">{gateWords(token)}</p>
    </div>
  );
}

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
