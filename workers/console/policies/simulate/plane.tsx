/**
 * The plane of helpfulness and safety, as the model's heads see it: to the right is more reward, up
 * is less cost. A line leads from each prompt's answer before to the one after.
 */
import { useId } from 'preact/hooks';
import type { Compared, Outcome } from '#policies/simulation/outcome.ts';
import { inShort, inTwo } from '../../net/words.ts';
import { useWidth } from '../../parts/use-width.ts';

const HEIGHT = 320;
const LEFT = 46;
const RIGHT = 14;
const TOP = 14;
const BOTTOM = 40;
const TICKS = 5;

type Point = { x: number; y: number };

const pointOf = ({ scores }: Outcome): Point | null => scores && { x: scores.reward, y: -scores.cost };

export function Plane({
  compared,
  names: [before, after],
  why,
}: {
  compared: readonly Compared[];
  names: readonly [string, string];
  /** Why there is nothing to show, if there is nothing. */
  why: string;
}) {
  const id = useId();
  const [figure, width] = useWidth<HTMLElement>(600);
  const pairs = compared.map((each) => ({ index: each.index, from: pointOf(each.before), to: pointOf(each.after) }));
  const points = pairs.flatMap(({ from, to }) => [from, to]).filter((point) => point !== null);
  const title = <h2 id={`${id}-title`}>Helpfulness and safety</h2>;
  if (points.length === 0) {
    return (
      <section class="stack" aria-labelledby={`${id}-title`}>
        {title}
        <p class="notice">{why}</p>
      </section>
    );
  }
  const x = scaleOf(
    points.map((point) => point.x),
    { from: LEFT, to: width - RIGHT },
  );
  const y = scaleOf(
    points.map((point) => point.y),
    { from: HEIGHT - BOTTOM, to: TOP },
  );
  const means = [meanOf(pairs.map(({ from }) => from)), meanOf(pairs.map(({ to }) => to))] as const;
  const told = (name: string, mean: Point | null) =>
    mean === null ? `${name}: no scores` : `${name}: reward ${inTwo(mean.x)}, cost ${inTwo(-mean.y)}`;
  const meansTold = `${told('Before', means[0])}. ${told('After', means[1])}.`;
  const summary = `Means of reward and cost. ${meansTold}`;
  return (
    <section class="stack" aria-labelledby={`${id}-title`}>
      {title}
      <figure class="plane panel" ref={figure}>
        <svg viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-labelledby={id}>
          <title id={id}>{summary}</title>
          {x.ticks.map((tick) => (
            <g key={tick} class="grid">
              <path d={`M${x.at(tick)} ${TOP}V${HEIGHT - BOTTOM}`} />
              <text class="middle" x={x.at(tick)} y={HEIGHT - BOTTOM + 16}>
                {inShort(tick)}
              </text>
            </g>
          ))}
          {y.ticks.map((tick) => (
            <g key={tick} class="grid">
              <path d={`M${LEFT} ${y.at(tick)}H${width - RIGHT}`} />
              <text x={LEFT - 6} y={y.at(tick) + 3.5}>
                {inShort(-tick)}
              </text>
            </g>
          ))}
          {y.has(0) && <path class="safe-line" d={`M${LEFT} ${y.at(0)}H${width - RIGHT}`} />}
          {pairs.map(
            ({ index, from, to }) =>
              from !== null &&
              to !== null && (
                <path
                  key={index}
                  class="pair-line"
                  d={`M${x.at(from.x)} ${y.at(from.y)}L${x.at(to.x)} ${y.at(to.y)}`}
                />
              ),
          )}
          {pairs.map(({ index, from, to }) => (
            <g key={index}>
              {from !== null && <circle class="before" cx={x.at(from.x)} cy={y.at(from.y)} r={3.2} />}
              {to !== null && <circle class="after" cx={x.at(to.x)} cy={y.at(to.y)} r={3.2} />}
            </g>
          ))}
          {means.map(
            (mean, side) =>
              mean !== null && (
                <path
                  key={side}
                  class={`mean ${side === 0 ? 'before' : 'after'}`}
                  d={diamond(x.at(mean.x), y.at(mean.y))}
                />
              ),
          )}
          <text class="middle" x={(LEFT + width - RIGHT) / 2} y={HEIGHT - 6}>
            reward: more helpful →
          </text>
          <text class="middle" transform={`translate(11 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)`}>
            cost: safer →
          </text>
        </svg>
        <figcaption class="small">
          <span class="key before" /> before, <code>{before}</code> <span class="key after" /> after,{' '}
          <code>{after}</code>; diamonds are the means. {meansTold}
          {y.has(0) && ' Above the line, a cost is below 0, which means safe.'}
        </figcaption>
      </figure>
    </section>
  );
}

function meanOf(points: readonly (Point | null)[]): Point | null {
  const known = points.filter((point) => point !== null);
  if (known.length === 0) return null;
  const mean = (read: (point: Point) => number) => known.reduce((sum, point) => sum + read(point), 0) / known.length;
  return { x: mean((point) => point.x), y: mean((point) => point.y) };
}

const MEAN_SIZE = 8;
const diamond = (x: number, y: number) =>
  `M${x} ${y - MEAN_SIZE}L${x + MEAN_SIZE} ${y}L${x} ${y + MEAN_SIZE}L${x - MEAN_SIZE} ${y}Z`;

/** A straight scale with round steps, and some air on both sides. */
function scaleOf(values: readonly number[], { from, to }: { from: number; to: number }) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const air = Math.max((high - low) * 0.08, 0.1);
  const [first, last] = [low - air, high + air];
  const step = roundStep((last - first) / TICKS);
  const ticks = Array.from(
    { length: Math.floor(last / step) - Math.ceil(first / step) + 1 },
    (_, index) => (Math.ceil(first / step) + index) * step,
  );
  return {
    ticks,
    at: (value: number) => from + ((value - first) / (last - first)) * (to - from),
    has: (value: number) => value > first && value < last,
  };
}

/** 1, 2 or 5 times a power of ten. */
function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * ([1, 2, 5].find((times) => times * power >= least) ?? 10);
}
