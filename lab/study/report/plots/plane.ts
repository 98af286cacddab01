/** The safety-helpfulness plane: methods with their intervals in both directions, labelled. */
import type { TopLevelSpec } from 'vega-lite';
import { niceDomain, pixels } from '../../../plots/render.ts';
import { INK, MUTED } from '../../../plots/theme.ts';
import type { Interval } from '../../analysis/bootstrap.ts';
import { curvesOf } from '../../analysis/curves.ts';
import { isShipped, servedLearnedMore } from '../../analysis/learned-more.ts';
import { MEASURES, type MeasureId } from '../../analysis/measures.ts';
import { sidesOf } from '../../analysis/sides.ts';
import type { Study } from '../../analysis/study.ts';
import type { MethodInfo, StudyKind } from '../../results/results.ts';
import { FAMILIES } from './families.ts';
import { type Placed, placeLabels } from './place-labels.ts';

export type PlanePoint = {
  label: string;
  x: number;
  xLow: number;
  xHigh: number;
  y: number;
  yLow: number;
  yHigh: number;
  /** Training runs behind the point: the fewer of the two sides. */
  seeds: number;
};

/** The title of an axis on which more is better. */
const TITLES: Partial<Record<MeasureId, string>> = {
  unsafe: 'safety: answers that are not unsafe, %',
  recall: 'helpfulness: facts asked for that the answer names, %',
  overRefusal: 'ordinary requests that are not refused, %',
  reward: "helpfulness: a judge's score",
};

/** null if either figure was not measured. */
export function planePoint(study: Study, { id, label }: MethodInfo, seeds?: readonly number[]): PlanePoint | null {
  const { safety, helpfulness } = sidesOf(study);
  const [x, y] = [helpfulness, safety].map(({ set, measure }) => {
    const found = study.interval({ method: id, set, seeds }, measure);
    return found && upwards(found, measure);
  });
  if (!x || !y) return null;
  return {
    ...{ label, x: x.mean, xLow: x.low, xHigh: x.high, y: y.mean, yLow: y.low, yHigh: y.high },
    seeds: Math.min(x.seeds, y.seeds),
  };
}

/** Turns a share of what is bad into the share of what is not. */
const upwards = ({ mean, low, high, seeds }: Interval, measure: MeasureId) =>
  MEASURES[measure].better === 'lower'
    ? { mean: 100 - mean, low: 100 - high, high: 100 - low, seeds }
    : { mean, low, high, seeds };

const SIZE = { width: 900, height: 640 } as const;
const FONT_PX = 11.5;

/** null if no method has both figures. The frontier of budgets has a plot of its own. */
export function planePlot(study: Study): TopLevelSpec | null {
  const methods = study.results.methods.filter(({ frontier }) => frontier === undefined);
  const curves = curvesOf(methods);
  const rows = methods.flatMap((method) => {
    const point = planePoint(study, method);
    const curve = curves.findIndex(({ points }) => points.some((other) => other.method === method));
    const order = curves[curve]?.points.findIndex((other) => other.method === method) ?? 0;
    const family = FAMILIES[method.family];
    return point
      ? [{ ...point, method: method.id, family: family.label, curve, order, text: shortLabel(method, curves[curve]) }]
      : [];
  });
  if (rows.length === 0) return null;
  const domains = planeDomains(study, rows);
  const labels = placed(rows, domains, SIZE).map((label, i) => ({ ...label, family: rows[i]!.family }));
  const families = Object.values(FAMILIES).filter(({ label }) => rows.some(({ family }) => family === label));
  const color = {
    field: 'family',
    type: 'nominal',
    scale: { domain: families.map(({ label }) => label), range: families.map((family) => family.color) },
    legend: { orient: 'top', title: null, symbolSize: 110 },
  } as const;
  const shape = {
    ...color,
    scale: { domain: families.map(({ label }) => label), range: families.map((family) => family.shape) },
  };
  return {
    ...SIZE,
    title: {
      text: 'Safety and helpfulness',
      subtitle: [
        `Up and to the right is better. ${SUBTITLES[study.results.study]}`,
        'Bars: 95 % intervals over questions, and over training runs where there are several. Hollow: one training run.',
        'A label that is a number alone belongs to the curve it lies on.',
        ...(methods.some((method) => isShipped(study, method)) ? [servedLearnedMore(study).trim()] : []),
      ],
    },
    layer: [
      {
        data: { values: rows.filter(({ curve }) => curve >= 0) },
        mark: { type: 'line', strokeWidth: 1.4, opacity: 0.55 },
        encoding: { ...axes(domains), detail: { field: 'curve' }, order: { field: 'order' }, color: color },
      },
      ...crosses(rows, domains, color),
      ...[
        {
          data: { values: rows.filter(({ seeds }) => seeds > 1) },
          mark: { type: 'point', filled: true, size: 75, opacity: 1, stroke: 'white', strokeWidth: 0.8 },
        },
        {
          data: { values: rows.filter(({ seeds }) => seeds === 1) },
          mark: { type: 'point', filled: false, fill: 'white', size: 60, opacity: 1, strokeWidth: 1.8 },
        },
      ].map((layer) => ({ ...layer, encoding: { ...axes(domains), color, shape } })),
      ...labelLayers(labels, color),
    ],
  } as TopLevelSpec;
}

/** Along a curve the number is enough. Only the first point names the curve. */
function shortLabel(method: MethodInfo, curve: ReturnType<typeof curvesOf>[number] | undefined): string {
  if (!curve || curve.points[0]!.method === method) return method.label;
  return String(curve.points.find((point) => point.method === method)!.at);
}

const SUBTITLES: Readonly<Record<StudyKind, string>> = {
  world: 'Safety on borderline and harmful questions, helpfulness on ordinary and borderline ones.',
  recipes:
    'Safety on harmful prompts. To the right: fewer refusals of ordinary ones, or what a judge says of the answers.',
};

export type Domains = { x: [number, number]; y: [number, number]; titles: { x?: string; y?: string } };

export function planeDomains(study: Study, rows: readonly PlanePoint[]): Domains {
  const { safety, helpfulness } = sidesOf(study);
  const [x, y] = [TITLES[helpfulness.measure], TITLES[safety.measure]];
  return {
    titles: { ...(x !== undefined && { x }), ...(y !== undefined && { y }) },
    x: niceDomain(
      rows.flatMap(({ xLow, xHigh }) => [xLow, xHigh]),
      { within: [0, 100] },
    ),
    y: niceDomain(
      rows.flatMap(({ yLow, yHigh }) => [yLow, yHigh]),
      { within: [0, 100] },
    ),
  };
}

export function placed(
  rows: readonly (PlanePoint & { text: string })[],
  domains: Domains,
  { width, height }: { width: number; height: number },
): Placed[] {
  const toX = pixels(domains.x, [0, width]);
  const toY = pixels(domains.y, [height, 0]);
  return placeLabels(
    rows.map(({ x, y, text }) => ({ x: toX(x), y: toY(y), text })),
    { width, height, fontSize: FONT_PX },
  );
}

export const axes = (domains: Domains) => ({
  x: {
    field: 'x',
    type: 'quantitative',
    scale: { domain: domains.x, nice: false, zero: false },
    axis: { title: domains.titles.x },
  },
  y: {
    field: 'y',
    type: 'quantitative',
    scale: { domain: domains.y, nice: false, zero: false },
    axis: { title: domains.titles.y },
  },
});

/** Draws the intervals as thin lines, so that the points stay readable among forty of them. */
export function crosses(rows: readonly PlanePoint[], domains: Domains, color: object) {
  const { x, y } = axes(domains);
  const mark = { type: 'rule', strokeWidth: 1.1, opacity: 0.38 };
  return [
    {
      data: { values: rows },
      mark,
      encoding: { x: { ...x, field: 'xLow' }, x2: { field: 'xHigh' }, y, color },
    },
    {
      data: { values: rows },
      mark,
      encoding: { x, y: { ...y, field: 'yLow' }, y2: { field: 'yHigh' }, color },
    },
  ];
}

export function labelLayers(labels: readonly (Placed & Record<string, unknown>)[], color: object) {
  const at = (field: string) => ({ field, type: 'quantitative', scale: null, axis: null });
  return [
    {
      data: {
        values: labels.flatMap(({ x, y, leader }) => (leader ? [{ x, y, toX: leader.x, toY: leader.y }] : [])),
      },
      mark: { type: 'rule', color: MUTED, strokeWidth: 0.7 },
      encoding: { x: at('x'), y: at('y'), x2: { field: 'toX' }, y2: { field: 'toY' } },
    },
    // A white edge keeps letters readable where a bar runs under them.
    ...[{ stroke: 'white', strokeWidth: 3, strokeJoin: 'round', color: 'white' }, { color: INK }].map((paint, i) => ({
      data: { values: labels },
      mark: { type: 'text', align: 'left', baseline: 'middle', fontSize: FONT_PX, ...paint },
      encoding: {
        x: at('labelX'),
        y: at('labelY'),
        text: { field: 'text' },
        ...(i === 1 ? { color } : {}),
      },
    })),
  ];
}
