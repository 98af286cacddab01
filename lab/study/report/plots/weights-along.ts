/**
 * Mean safety weight along the tokens of answers: one line per router, one panel per kind of
 * question.
 */
import type { TopLevelSpec } from 'vega-lite';
import { COLORS, DASHES } from '../../../plots/theme.ts';
import { intervalOf, type Study, valuesOf } from '../../analysis/study.ts';
import type { MethodInfo } from '../../results/results.ts';

/** Routers as they were trained: without a line, or under the open line (floor 0, no budget). */
export function routers(study: Study): MethodInfo[] {
  const set = study.world?.id ?? '';
  return study.results.methods.filter(
    ({ id, family, line }) =>
      (family === 'midpo' || family === 'logits-router') &&
      (!line || (line.floor === 0 && line.budget === null)) &&
      study.answers({ method: id, set }).some(({ weights }) => weights.length > 0),
  );
}

/**
 * A position is shown while at least this share of questions has an answer that long. Means at
 * later positions would rest on a few long answers.
 */
const STILL_RUNNING = 0.25;

const PANELS = {
  ordinary: 'ordinary questions',
  borderline: 'borderline questions',
  harmful: 'harmful questions',
} as const;

/** null if no router's weights were kept. */
export function weightsAlongPlot(study: Study): TopLevelSpec | null {
  const set = study.world?.id ?? '';
  const shown = routers(study);
  const rows = shown.flatMap(({ id, label }) =>
    Object.entries(PANELS).flatMap(([kind, panel]) => {
      const answers = study.answers({ method: id, set }).filter((answer) => answer.kind === kind);
      const questions = new Set(answers.map(({ question }) => question)).size;
      const longest = answers.reduce((most, { weights }) => Math.max(most, weights.length), 0);
      return Array.from({ length: longest }, (_, t) => {
        const interval = intervalOf(
          valuesOf(answers, ({ weights }) => weights[t]),
          study.bootstrap,
        );
        return interval && interval.questions >= STILL_RUNNING * questions
          ? [{ method: label, panel, token: t + 1, ...interval }]
          : [];
      }).flat();
    }),
  );
  if (rows.length === 0) return null;
  const labels = shown.map(({ label }) => label);
  const color = {
    field: 'method',
    type: 'nominal',
    scale: { domain: labels, range: labels.map((_, i) => COLORS[i % COLORS.length]!) },
    legend: { orient: 'top', title: null, symbolType: 'stroke', symbolStrokeWidth: 3, symbolSize: 300 },
  };
  const x = {
    field: 'token',
    type: 'quantitative',
    scale: { domain: [1, Math.max(2, ...rows.map(({ token }) => token))], nice: false },
    axis: { title: 'token of the answer', grid: false, tickCount: 6 },
  };
  const y = {
    type: 'quantitative',
    scale: { domain: [0, 1] },
    axis: { title: 'mean safety weight', values: [0, 0.2, 0.4, 0.6, 0.8, 1] },
  };
  return {
    title: {
      text: 'Safety weight along the answer',
      subtitle: `Bands: 95 % intervals over questions, and over training runs where there are several. A token's mean is of the answers that are that long; a line ends where fewer than ${100 * STILL_RUNNING} % are.`,
    },
    data: { values: rows },
    facet: { column: { field: 'panel', type: 'nominal', sort: Object.values(PANELS), header: { title: null } } },
    spec: {
      width: 265,
      height: 300,
      layer: [
        {
          mark: { type: 'area', opacity: 0.2 },
          encoding: { x, y: { ...y, field: 'low' }, y2: { field: 'high' }, color: color },
        },
        {
          mark: { type: 'line', strokeWidth: 2.2 },
          encoding: {
            x,
            y: { ...y, field: 'mean' },
            color,
            strokeDash: {
              ...color,
              scale: { domain: labels, range: labels.map((_, i) => DASHES[i % DASHES.length]!) },
            },
          },
        },
      ],
    },
    // The literal strings have been widened to `string` by now, which the schema's types reject.
  } as TopLevelSpec;
}
