/**
 * The logits router under floors: one curve per budget on the same plane, each point labelled with
 * its floor.
 */
import type { TopLevelSpec } from 'vega-lite';
import { COLORS, INK, SHAPES } from '../../../plots/theme.ts';
import { budgetName, lineMethods } from '../../analysis/contenders.ts';
import { type Study, sharedSeeds } from '../../analysis/study.ts';
import { axes, crosses, labelLayers, placed, planeDomains, planePoint } from './plane.ts';

const SIZE = { width: 820, height: 520 } as const;

/** null if no line was run. */
export function floorsPlot(study: Study): TopLevelSpec | null {
  const lines = lineMethods(study);
  const set = study.world?.id ?? '';
  const ran = lines.filter(({ id }) => study.cells({ method: id, set }).length > 0).map(({ id }) => id);
  // The curves use the seeds that all lines share. The router without a line has more seeds, and
  // its mean over them would not be a point of these curves.
  const seeds = sharedSeeds(study, { methods: ran, set, depth: 0 });
  const rows = lines.flatMap((method) => {
    const point = planePoint(study, method, seeds);
    return point
      ? [{ ...point, curve: budgetName(method.line.budget), order: method.line.floor, text: String(method.line.floor) }]
      : [];
  });
  if (rows.length === 0) return null;
  // Every curve ends at a floor of 1, the safety expert alone. We leave out the other expert: it is
  // far away and would squeeze the curves into a corner.
  const ends = ['spe-s'].flatMap((id) => {
    const method = study.method(id);
    const point = method && planePoint(study, method, seeds);
    return point ? [{ ...point, curve: 'an expert alone', order: 0, text: method.label }] : [];
  });
  const all = [...rows, ...ends];
  const domains = planeDomains(study, all);
  const curves = [...new Set(all.map(({ curve }) => curve))];
  const scale = (range: readonly string[]) => ({
    domain: curves,
    range: curves.map((curve, i) => (curve === 'an expert alone' ? null : range[i % range.length])),
  });
  const colors = scale(COLORS);
  const shapes = scale(SHAPES);
  const legend = { orient: 'top', title: null, symbolSize: 110 };
  const color = {
    field: 'curve',
    type: 'nominal',
    scale: { ...colors, range: colors.range.map((color) => color ?? INK) },
    legend,
  };
  const shape = { ...color, scale: { ...shapes, range: shapes.range.map((shape) => shape ?? 'cross') } };
  return {
    ...SIZE,
    title: {
      text: 'The logits router under floors',
      subtitle: [
        'One curve per budget; the number is the floor of the safety weight. Up and to the right is better.',
        'Bars: 95 % intervals over questions, and over training runs where there are several.',
      ],
    },
    layer: [
      {
        data: { values: rows },
        mark: { type: 'line', strokeWidth: 2, opacity: 0.75 },
        encoding: { ...axes(domains), order: { field: 'order' }, color: color },
      },
      ...crosses(all, domains, color),
      {
        data: { values: all },
        mark: { type: 'point', filled: true, size: 85, opacity: 1, stroke: 'white', strokeWidth: 0.8 },
        encoding: { ...axes(domains), color, shape },
      },
      ...labelLayers(
        placed(all, domains, SIZE).map((label, i) => ({ ...label, curve: all[i]!.curve })),
        color,
      ),
    ],
    // A layer's data contain objects of several shapes, which the schema's types cannot express.
  } as TopLevelSpec;
}
