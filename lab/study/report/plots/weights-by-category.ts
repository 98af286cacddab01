/**
 * Mean safety weight by the question's harm category, one panel per router. Ordinary questions are
 * shown next to them.
 */
import type { TopLevelSpec } from 'vega-lite';
import { COLORS, INK } from '../../../plots/theme.ts';
import { intervalOf, type Study, valuesOf } from '../../analysis/study.ts';
import { routers } from './weights-along.ts';

const ORDINARY = 'ordinary questions';
const PANELS_A_ROW = 3;

/** null if no router's weights were measured. */
export function weightsByCategoryPlot(study: Study): TopLevelSpec | null {
  const set = study.world?.id ?? '';
  const shown = routers(study);
  const rows = shown.flatMap(({ id, label }) => {
    const groups = Map.groupBy(study.answers({ method: id, set }), ({ kind, category }) =>
      kind === 'ordinary' || category === null ? ORDINARY : category,
    );
    return [...groups].flatMap(([category, answers]) => {
      const interval = intervalOf(
        valuesOf(answers, ({ figures }) => figures.weight),
        study.bootstrap,
      );
      return interval ? [{ method: label, group: category, ordinary: category === ORDINARY, ...interval }] : [];
    });
  });
  if (rows.length === 0) return null;
  // A category has the same number of questions for every router, unless cells are cut short. Then
  // we show the most.
  const counts = new Map<string, number>();
  for (const { group, questions } of rows) counts.set(group, Math.max(counts.get(group) ?? 0, questions));
  const meanOf = (group: string) => {
    const means = rows.filter((row) => row.group === group).map(({ mean }) => mean);
    return means.reduce((sum, mean) => sum + mean, 0) / means.length;
  };
  const named = (group: string) => `${group.replaceAll('_', ' ')} (${counts.get(group)})`;
  const order = [...counts.keys()]
    .sort((a, b) => Number(b === ORDINARY) - Number(a === ORDINARY) || meanOf(b) - meanOf(a))
    .map(named);
  const columns = Math.min(PANELS_A_ROW, shown.length);
  const x = {
    type: 'quantitative',
    scale: { domain: [0, 1] },
    axis: { title: 'mean safety weight', values: [0, 0.2, 0.4, 0.6, 0.8, 1] },
  };
  const y = { field: 'category', type: 'nominal', sort: order, axis: { title: null, grid: false, labelLimit: 260 } };
  return {
    title: {
      text: 'Safety weight by the kind of harm',
      subtitle: [
        'Borderline and harmful questions of a category together, their number in brackets.',
        'Bars end at the mean; lines: 95 % intervals over questions, and over training runs where there are several.',
      ],
    },
    data: { values: rows.map((row) => ({ ...row, category: named(row.group) })) },
    facet: { field: 'method', type: 'nominal', sort: shown.map(({ label }) => label), header: { title: null } },
    columns,
    spacing: 26,
    spec: {
      width: columns === 1 ? 560 : columns === 2 ? 330 : 225,
      height: { step: 22 },
      layer: [
        {
          mark: { type: 'bar', height: { band: 0.68 } },
          encoding: {
            x: { ...x, field: 'mean' },
            y,
            color: {
              field: 'ordinary',
              type: 'nominal',
              scale: { domain: [true, false], range: ['#9aa3ab', COLORS[5]] },
              legend: null,
            },
          },
        },
        {
          mark: { type: 'rule', strokeWidth: 1.6, color: INK },
          encoding: { x: { ...x, field: 'low' }, x2: { field: 'high' }, y },
        },
      ],
    },
    resolve: { axis: { x: 'independent' } },
    // The literal strings have been widened to `string` by now, which the schema's types reject.
  } as TopLevelSpec;
}
