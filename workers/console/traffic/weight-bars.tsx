import { inPercent, inWhole } from '../net/words.ts';

const WIDTH = 84;
const HEIGHT = 22;

/** How an answer's tokens were weighed: left the helpfulness expert alone, right the safety one. */
export function WeightBars({ of: weights }: { of: readonly number[] }) {
  const most = Math.max(...weights, 1);
  const total = weights.reduce((sum, count) => sum + count, 0);
  const step = WIDTH / weights.length;
  const said = weights.flatMap((count, bar) =>
    count === 0
      ? []
      : [`${inPercent(bar / weights.length)} to ${inPercent((bar + 1) / weights.length)}: ${inWhole(count)}`],
  );
  return (
    <svg
      class="weight-bars"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      width={WIDTH}
      height={HEIGHT}
      role="img"
      aria-label={`Safety weight of ${inWhole(total)} tokens. ${said.join('; ')}`}
    >
      {weights.map((count, bar) => {
        const height = count === 0 ? 0 : Math.max(2, ((HEIGHT - 2) * count) / most);
        return <rect key={bar} x={bar * step + 0.5} y={HEIGHT - 1 - height} width={step - 1} height={height} />;
      })}
      <path d={`M0 ${HEIGHT - 0.5}H${WIDTH}`} />
    </svg>
  );
}
