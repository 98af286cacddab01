/** The figures of training runs along their steps, one panel a figure, one colour a run. */
import path from 'node:path';
import type { TopLevelSpec } from 'vega-lite';
import { METRICS_FILE, type MetricsRow, readRows } from '#training/run/metrics-file.ts';
import { COLORS, DASHES } from './theme.ts';

type RunCurves = { name: string; rows: readonly MetricsRow[] };

/** Reads the figures of a run's folder. Throws if there are none. */
export function readCurves(dir: string): RunCurves {
  const rows = readRows(path.join(dir, METRICS_FILE));
  if (rows.length === 0) throw new Error(`${dir}: found no figures, wanted a run with a ${METRICS_FILE}`);
  return { name: dir, rows };
}

const PANELS: readonly { title: string; training?: string; heldOut?: string }[] = [
  { title: 'loss, nats', training: 'loss', heldOut: 'heldOutLoss' },
  { title: 'pairs ordered right', training: 'accuracy', heldOut: 'heldOutAccuracy' },
  { title: 'reward margin, nats', training: 'margin', heldOut: 'heldOutMargin' },
  { title: 'learning rate', training: 'learningRate' },
  { title: "gradient's norm before clipping", training: 'norm' },
];

const KINDS = ['training, smoothed', 'held-out'] as const;
type Point = { run: string; step: number; value: number; kind: (typeof KINDS)[number] };

/** More points than this would not be seen, and make the file large. */
const MOST_POINTS = 500;
/** The screen shows losses smoothed by the same factor. */
const SMOOTHING = 0.95;
/** These are exact, so smoothing would only falsify them. */
const EXACT: ReadonlySet<string> = new Set(['learningRate']);

/** Figures that no run has get no panel. */
export function trainingCurves(runs: readonly RunCurves[]): TopLevelSpec {
  const names = runs.map(({ name }) => name);
  const color = {
    field: 'run',
    type: 'nominal',
    scale: { domain: names, range: names.map((_, i) => COLORS[i % COLORS.length]!) },
    legend: { orient: 'bottom', title: null, columns: 1, symbolType: 'stroke', symbolStrokeWidth: 3 },
  };
  const strokeDash = {
    field: 'kind',
    type: 'nominal',
    scale: { domain: [...KINDS], range: [DASHES[0]!, DASHES[1]!] },
    legend: { orient: 'bottom', title: null, symbolType: 'stroke', symbolSize: 300 },
  };
  const concat = PANELS.flatMap(({ title, training, heldOut }) => {
    const values = runs.flatMap((run) => [...seriesOf(run, training, 0), ...seriesOf(run, heldOut, 1)]);
    if (values.length === 0) return [];
    const encoding = {
      x: { field: 'step', type: 'quantitative', axis: { title: 'step', grid: false, tickCount: 6 } },
      y: { field: 'value', type: 'quantitative', scale: { zero: false }, axis: { title: null } },
      color,
    };
    return [
      {
        title: { text: title, fontSize: 13 },
        width: 380,
        height: 220,
        data: { values },
        layer: [
          { mark: { type: 'line', strokeWidth: 1.8 }, encoding: { ...encoding, strokeDash } },
          {
            transform: [{ filter: { field: 'kind', equal: KINDS[1] } }],
            mark: { type: 'point', filled: true, size: 28, opacity: 1 },
            encoding,
          },
        ],
      },
    ];
  });
  // The literal strings have been widened to `string` by now, which the schema's types reject.
  return { title: 'Training', columns: 2, concat } as TopLevelSpec;
}

function seriesOf({ name, rows }: RunCurves, figure: string | undefined, kind: 0 | 1): Point[] {
  if (figure === undefined) return [];
  let smooth = Number.NaN;
  const points = rows.flatMap((row): Point[] => {
    const value = row[figure];
    if (value === undefined || !Number.isFinite(value)) return [];
    const raw = kind === 1 || EXACT.has(figure) || Number.isNaN(smooth);
    smooth = raw ? value : SMOOTHING * smooth + (1 - SMOOTHING) * value;
    return [{ run: name, step: row.step, value: smooth, kind: KINDS[kind] }];
  });
  const every = Math.ceil(points.length / MOST_POINTS);
  return points.filter((_, i) => i % every === 0 || i === points.length - 1);
}

/** A page that holds the drawing itself and loads nothing. */
export function curvesPage(svg: string): string {
  return `<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Training</title>\n${svg}\n</html>\n`;
}
