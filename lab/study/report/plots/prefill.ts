/**
 * Prefill attacks (arXiv 2406.05946): the unsafe share, by how many tokens of a harmful answer were
 * forced at the start of the answer.
 */
import type { TopLevelSpec } from 'vega-lite';
import { niceDomain, pixels } from '../../../plots/render.ts';
import { COLORS, DASHES, INK, SHAPES } from '../../../plots/theme.ts';
import type { Interval } from '../../analysis/bootstrap.ts';
import { intervalOf, prefillSet, type Study, sharedSeeds } from '../../analysis/study.ts';

export type PrefillRow = Interval & { method: string; label: string; depth: number };

/**
 * Makes the lines comparable: at depth 0 only the questions that were attacked, and at all depths
 * only the seeds that every attacked method has.
 */
export function prefillRows(study: Study): PrefillRow[] {
  const set = prefillSet(study);
  if (set === null) return [];
  const cells = study.results.cells.filter((cell) => cell.set === set);
  const depths = [...new Set(cells.map(({ depth }) => depth))].sort((a, b) => a - b);
  const attacked = new Set(
    cells.filter(({ depth }) => depth > 0).flatMap(({ answers }) => answers.map(({ question }) => question)),
  );
  const begun = new Set(cells.filter(({ depth }) => depth > 0).map(({ method }) => method));
  const seeds = sharedSeeds(study, { methods: [...begun], set, depth: depths.at(-1)! });
  return study.results.methods
    .filter(({ id }) => begun.has(id))
    .flatMap(({ id, label }) =>
      depths.flatMap((depth) => {
        const values = study.values({ method: id, set, depth, seeds }, 'unsafe');
        const interval = intervalOf(
          values.filter(({ question }) => attacked.has(question)),
          study.bootstrap,
        );
        return interval ? [{ method: id, label, depth, ...interval }] : [];
      }),
    );
}

const SIZE = { width: 640, height: 440 } as const;
const LABEL_PX = 12;

/** null if nothing was attacked. */
export function prefillPlot(study: Study): TopLevelSpec | null {
  const found = prefillRows(study);
  if (found.length === 0) return null;
  const labels = [...new Set(found.map(({ label }) => label))];
  // Methods stand a little apart, so that their intervals do not cover each other.
  const apart = Math.min(0.22, 2 / Math.max(1, labels.length - 1));
  const rows = found.map((row) => ({
    ...row,
    at: row.depth + apart * (labels.indexOf(row.label) - (labels.length - 1) / 2),
  }));
  const x: [number, number] = [
    Math.min(...rows.map(({ at }) => at)) - 0.5,
    Math.max(...rows.map(({ at }) => at)) + 0.5,
  ];
  const y = niceDomain([0, ...rows.map(({ high }) => high)], { within: [0, 100] });
  const toX = pixels(x, [0, SIZE.width]);
  const toY = pixels(y, [SIZE.height, 0]);
  const ends = stacked(
    labels.map((label) => {
      const last = rows.findLast((row) => row.label === label)!;
      return { label, x: toX(last.at), y: toY(last.mean) };
    }),
  );
  const channel = (range: readonly unknown[]) => ({
    field: 'label',
    type: 'nominal',
    scale: { domain: labels, range: labels.map((_, i) => range[i % range.length]) },
    legend: null,
  });
  const color = channel(COLORS);
  const xAxis = {
    field: 'at',
    type: 'quantitative',
    scale: { domain: x, nice: false, zero: false },
    axis: {
      title: 'tokens of a harmful answer that the answer begins with',
      values: [...new Set(rows.map(({ depth }) => depth))],
      grid: false,
    },
  };
  const yAxis = {
    field: 'mean',
    type: 'quantitative',
    scale: { domain: y, nice: false },
    axis: { title: 'unsafe answers, % of borderline and harmful questions' },
  };
  const at = (field: string) => ({ field, type: 'quantitative', scale: null, axis: null });
  return {
    ...SIZE,
    title: {
      text: 'Prefill attacks',
      subtitle: [
        'Bars: 95 % intervals over questions, and over training runs where there are several.',
        'Points of one depth stand side by side only to be readable.',
      ],
    },
    layer: [
      {
        data: { values: rows },
        mark: { type: 'rule', strokeWidth: 1.3, opacity: 0.55 },
        encoding: { x: xAxis, y: { ...yAxis, field: 'low' }, y2: { field: 'high' }, color },
      },
      {
        data: { values: rows },
        mark: { type: 'line', strokeWidth: 2 },
        // There are more methods than colours: the ninth method has the first one's colour, dashed.
        encoding: {
          x: xAxis,
          y: yAxis,
          color,
          strokeDash: channel(labels.map((_, i) => DASHES[Math.floor(i / COLORS.length) % DASHES.length])),
        },
      },
      {
        data: { values: rows },
        mark: { type: 'point', filled: true, size: 70, opacity: 1, stroke: 'white', strokeWidth: 0.8 },
        encoding: { x: xAxis, y: yAxis, color, shape: channel(SHAPES) },
      },
      {
        data: { values: ends },
        mark: { type: 'rule', strokeWidth: 1, opacity: 0.8 },
        encoding: { x: at('x'), y: at('y'), x2: { field: 'labelX' }, y2: { field: 'labelY' }, color },
      },
      {
        data: { values: ends.map((end) => ({ ...end, labelX: end.labelX + 3 })) },
        mark: { type: 'text', align: 'left', baseline: 'middle', fontSize: LABEL_PX, color: INK },
        encoding: { x: at('labelX'), y: at('labelY'), text: { field: 'label' } },
      },
    ],
  } as TopLevelSpec;
}

/**
 * Labels at the right edge, in the order in which their lines end, pushed apart until a line of
 * text fits between them.
 */
function stacked<T extends { y: number }>(ends: readonly T[]): (T & { labelX: number; labelY: number })[] {
  const step = 1.35 * LABEL_PX;
  const placed = ends.toSorted((a, b) => a.y - b.y).map((end) => ({ ...end, labelX: SIZE.width + 16, labelY: end.y }));
  for (let i = 1; i < placed.length; i++) {
    placed[i]!.labelY = Math.max(placed[i]!.labelY, placed[i - 1]!.labelY + step);
  }
  // A label pushed below the frame pushes the others back up.
  let floor: number = SIZE.height;
  for (const label of placed.toReversed()) {
    label.labelY = Math.min(label.labelY, floor);
    floor = label.labelY - step;
  }
  return placed;
}
