/**
 * Two bands over the answer's tokens. Above: the safety weight, over the floor it may not go below.
 * Below: the nats that are spent, under the budget. Plain SVG: two lines need no library.
 */
import { useId } from 'preact/hooks';
import type { TokenTrace } from '#shared/api/plimsoll-extension.ts';
import { inTwo, nats } from '../net/words.ts';
import { useWidth } from '../parts/use-width.ts';

const WEIGHT = { top: 20, height: 90 };
const SPENT = { top: 136, height: 54 };
const HEIGHT = 202;
const LEFT = 34;
const RIGHT = 8;

export function Chart({
  tokens,
  budget,
  active,
  setActive,
}: {
  tokens: readonly TokenTrace[];
  budget: number | null;
  active: number | null;
  setActive: (index: number | null) => void;
}) {
  const id = useId();
  const [figure, width] = useWidth<HTMLElement>(400);
  const step = (width - LEFT - RIGHT) / tokens.length;
  const middle = (index: number) => LEFT + step * (index + 0.5);
  const yWeight = (weight: number) => WEIGHT.top + WEIGHT.height * (1 - weight);
  const spentMost = Math.max(...tokens.map((token) => token.spent ?? 0), 0.5);
  const scale = Math.max(spentMost, budget ?? 0) * 1.08;
  const ySpent = (spent: number) => SPENT.top + SPENT.height * (1 - Math.max(spent, 0) / scale);
  const stairs = (y: (token: TokenTrace) => number) =>
    tokens.map((token, i) => `${i === 0 ? 'M' : 'L'}${LEFT + step * i} ${y(token)}H${LEFT + step * (i + 1)}`).join('');
  const floorLine = stairs(({ floor }) => yWeight(floor));
  const bottom = WEIGHT.top + WEIGHT.height;
  const lowest = Math.min(...tokens.map(({ weight }) => weight));
  const summary = `${tokens.length} tokens. Weight from ${inTwo(lowest)}; ${nats(tokens.at(-1)?.spent ?? null)} nats spent of ${nats(budget)}.`;
  const point = (event: PointerEvent & { currentTarget: SVGSVGElement }) => {
    const box = event.currentTarget.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * width;
    setActive(Math.min(Math.max(Math.floor((x - LEFT) / step), 0), tokens.length - 1));
  };
  return (
    <figure class="chart" ref={figure}>
      <svg viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-labelledby={id} onPointerMove={point}>
        <title id={id}>{summary}</title>
        {[0, 0.5, 1].map((weight) => (
          <g key={weight} class="grid">
            <path d={`M${LEFT} ${yWeight(weight)}H${width - RIGHT}`} />
            <text x={LEFT - 6} y={yWeight(weight) + 3.5}>
              {weight}
            </text>
          </g>
        ))}
        <path class="below-floor" d={`${floorLine}V${bottom}H${LEFT}Z`} />
        <path class="floor-line" d={floorLine} />
        <path
          class="weight-line"
          d={tokens.map((t, i) => `${i === 0 ? 'M' : 'L'}${middle(i)} ${yWeight(t.weight)}`).join('')}
        />
        {tokens.length <= 120 &&
          tokens.map(({ weight }, i) => (
            <circle key={i} class="weight-dot" cx={middle(i)} cy={yWeight(weight)} r={2.1} />
          ))}
        <g class="grid">
          <path d={`M${LEFT} ${SPENT.top + SPENT.height}H${width - RIGHT}`} />
          <text x={LEFT - 6} y={SPENT.top + SPENT.height + 3.5}>
            0
          </text>
        </g>
        {budget !== null && (
          <g>
            <path class="budget-line" d={`M${LEFT} ${ySpent(budget)}H${width - RIGHT}`} />
            <text class="budget-name" x={LEFT - 6} y={ySpent(budget) + 3.5}>
              {inTwo(budget).replace(/[.,]00$/, '')}
            </text>
          </g>
        )}
        <path
          class="spent-area"
          d={`${stairs(({ spent }) => ySpent(spent ?? 0))}V${SPENT.top + SPENT.height}H${LEFT}Z`}
        />
        {active !== null && active < tokens.length && (
          <path class="cursor" d={`M${middle(active)} ${WEIGHT.top - 6}V${SPENT.top + SPENT.height}`} />
        )}
        <text class="band" x={width - RIGHT} y={10}>
          safety weight
        </text>
        <text class="band" x={width - RIGHT} y={SPENT.top - 9}>
          nats spent
        </text>
      </svg>
    </figure>
  );
}
