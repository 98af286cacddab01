/**
 * What a budget alone is worth, against the budget, with the earned budgets beside it: two panels a
 * row, those of the small world first, then those of real prompts.
 */
import type { TopLevelSpec } from 'vega-lite';
import { niceDomain } from '../../../plots/render.ts';
import { COLORS, MUTED } from '../../../plots/theme.ts';
import {
  type FrontierPanel,
  type FrontierPoint,
  frontierMethods,
  frontierPanels,
  panelTitle,
} from '../../analysis/frontier.ts';
import { MEASURES } from '../../analysis/measures.ts';
import type { Study } from '../../analysis/study.ts';

const SIZE = { width: 420, height: 240 } as const;
/** Room on the axis for each earned budget, in nats. */
const EARNED_STEP = 5;

type Tick = { at: number; words: string };

/** null if no method of the frontier was measured. */
export function frontierPlot(study: Study): TopLevelSpec | null {
  const panels = frontierPanels(study);
  if (panels.length === 0) return null;
  const places = placesOf(study);
  const rows = Map.groupBy(panels, ({ set }) => (set.world ? 'world' : 'real'));
  return {
    title: {
      text: 'What a budget alone is worth',
      subtitle: [
        'The constant weight, held back by nothing but the budget. At 0 it is the safety expert itself.',
        'On the right, budgets that are earned along the answer: start + so much a token (t). Bars: 95 % intervals.',
      ],
      anchor: 'start',
    },
    vconcat: [...rows.values()].map((row) => ({
      concat: row.map((panel) => panelSpec(panel, places)),
      columns: 2,
      spacing: 36,
    })),
    spacing: 28,
    // A layer's data contain objects of several shapes, which the schema's types cannot express.
  } as TopLevelSpec;
}

/** Where each method lies on the axis. Earned budgets come after the largest whole one. */
function placesOf(study: Study): ReadonlyMap<string, Tick> {
  const methods = frontierMethods(study);
  const whole = methods.filter(({ frontier }) => frontier.earned === null).map(({ frontier }) => frontier.budget);
  const last = Math.max(0, ...whole);
  let next = last;
  return new Map(
    methods.map(({ id, frontier: { budget, earned } }) => {
      if (earned === null) return [id, { at: budget, words: String(budget) }];
      next += EARNED_STEP;
      return [id, { at: next, words: `${earned.start}|+ ${earned.rate} t` }];
    }),
  );
}

function panelSpec({ points, base, ...panel }: FrontierPanel, places: ReadonlyMap<string, Tick>): object {
  const { unit } = MEASURES[panel.measure];
  const rows = points.map(({ method, interval: { mean, low, high } }: FrontierPoint) => ({
    at: places.get(method.id)!.at,
    earned: method.frontier.earned !== null,
    mean,
    low,
    high,
  }));
  const ticks = [...places.values()];
  const ends = [...rows.flatMap(({ low, high }) => [low, high]), ...(base ? [base.mean] : [])];
  const within: [number, number] = unit === '%' ? [0, 100] : [-Infinity, Infinity];
  const x = {
    field: 'at',
    type: 'quantitative',
    scale: { domain: [-0.8, Math.max(...ticks.map(({ at }) => at)) + 2], nice: false, zero: false },
    axis: {
      title: 'budget, nats',
      values: ticks.map(({ at }) => at),
      labelExpr: `split(${JSON.stringify(Object.fromEntries(ticks.map(({ at, words }) => [at, words])))}[datum.value], '|')`,
      labelOverlap: false,
      grid: false,
    },
  };
  const y = {
    field: 'mean',
    type: 'quantitative',
    scale: { domain: niceDomain(ends, { within }), nice: false, zero: false },
    axis: { title: null },
  };
  const color = { value: panel.side === 'safety' ? COLORS[1] : COLORS[0] };
  return {
    ...SIZE,
    title: { text: [panel.set.label, panelTitle({ ...panel, points, base })], fontSize: 13, anchor: 'start' },
    layer: [
      ...(base
        ? [
            {
              data: { values: [{ mean: base.mean, text: 'base' }] },
              mark: { type: 'rule', color: MUTED, strokeDash: [5, 4] },
              encoding: { y },
            },
            {
              data: { values: [{ mean: base.mean, text: 'base' }] },
              mark: { type: 'text', color: MUTED, baseline: 'bottom', dy: -3, x: SIZE.width / 2 },
              encoding: { y, text: { field: 'text' } },
            },
          ]
        : []),
      {
        data: { values: rows },
        mark: { type: 'rule', strokeWidth: 1.3, opacity: 0.55 },
        encoding: { x, y: { ...y, field: 'low' }, y2: { field: 'high' }, color },
      },
      {
        data: { values: rows.filter(({ earned }) => !earned) },
        mark: { type: 'line', strokeWidth: 2 },
        encoding: { x, y, color },
      },
      {
        data: { values: rows },
        mark: { type: 'point', filled: true, size: 70, opacity: 1, stroke: 'white', strokeWidth: 0.8 },
        encoding: {
          x,
          y,
          color,
          shape: { condition: { test: 'datum.earned', value: 'diamond' }, value: 'circle' },
        },
      },
    ],
  };
}
