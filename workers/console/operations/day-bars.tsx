import { useId } from 'preact/hooks';
import { inDay, inWhole } from '../net/words.ts';
import { useWidth } from '../parts/use-width.ts';

const HEIGHT = 140;
const FOOT = 22;
const HEAD = 16;
const WIDEST = 48;

/** How far a label may reach to the left and the right, in pixels. */
const EDGE = 52;

/** A label near an edge of the picture begins or ends there, so that nothing of it is cut off. */
function inside(at: number, width: number): { x?: number; style?: { textAnchor: 'start' | 'end' } } {
  if (at < EDGE / 2) return { x: -at, style: { textAnchor: 'start' } };
  if (width - at < EDGE / 2) return { x: width - at, style: { textAnchor: 'end' } };
  return {};
}

/** Tokens by day. */
export function DayBars({ days }: { days: readonly { day: string; tokens: number }[] }) {
  const id = useId();
  const [figure, width] = useWidth<HTMLElement>(600);
  const most = Math.max(...days.map(({ tokens }) => tokens), 1);
  const step = width / days.length;
  const thick = Math.min(step * 0.7, WIDEST);
  const height = (tokens: number) => ((HEIGHT - FOOT - HEAD) * tokens) / most;
  return (
    <figure class="day-bars" ref={figure}>
      <svg viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-labelledby={id}>
        <title id={id}>
          {days
            .filter(({ tokens }) => tokens > 0)
            .map(({ day, tokens }) => `${inDay(day)}: ${inWhole(tokens)} tokens`)
            .join('; ')}
        </title>
        {days.map(({ day, tokens }, at) => (
          <g key={day} transform={`translate(${step * (at + 0.5)} 0)`}>
            <rect x={-thick / 2} y={HEIGHT - FOOT - height(tokens)} width={thick} height={height(tokens)} />
            {(step > 44 || tokens === most) && tokens > 0 && (
              <text y={HEIGHT - FOOT - height(tokens) - 4} {...inside(step * (at + 0.5), width)}>
                {inWhole(tokens)}
              </text>
            )}
            {(step > 44 || at % Math.ceil(EDGE / step) === 0) && (
              <text y={HEIGHT - 6} {...inside(step * (at + 0.5), width)}>
                {inDay(day)}
              </text>
            )}
          </g>
        ))}
        <path d={`M0 ${HEIGHT - FOOT + 0.5}H${width}`} />
      </svg>
    </figure>
  );
}
