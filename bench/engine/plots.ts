/** The plots of docs/performance.md, from the results of the engine's bench. */
import type { TopLevelSpec } from 'vega-lite';
import { COLORS, INK, MUTED } from '#lab/plots/theme.ts';
import type { Point, RowResult } from './row.ts';

const SIZE = { width: 380, height: 300 } as const;
const AT_ONCE = [1, 2, 4, 8, 16, 32];
/** The reach of a gap while a prompt is read. */
const GAP_REACH = 2.5;

/** Tokens a second over the answers at once, weights in f32 and in four bits. */
export function curvePlot({ points }: RowResult, model: string): TopLevelSpec {
  // The three lines of each panel have the same three colours.
  const kindOf = (name: string) => name.replace(/,? (f32|int4|Q4_1)$/, '');
  const panels = ['f32', 'int4'].map((kind) => {
    const values = (points[`curve ${kind}`] ?? []).map((point) => ({ ...point, name: kindOf(point.name) }));
    return {
      ...SIZE,
      title: { text: kind === 'f32' ? 'f32' : 'int4 (llama.cpp: Q4_1)', fontSize: 13 },
      data: { values },
      mark: { type: 'line', point: { filled: true, size: 60 }, strokeWidth: 2 },
      encoding: {
        x: {
          field: 'x',
          type: 'quantitative',
          scale: { type: 'log', base: 2, domain: [1, 32] },
          axis: { values: AT_ONCE, title: 'answers at once', grid: false },
        },
        y: { field: 'y', type: 'quantitative', axis: { title: 'tokens a second, all answers' } },
        color: { ...scale(['one expert', 'two experts', 'llama.cpp']), legend: { orient: 'top', title: null } },
        shape: scale(['one expert', 'two experts', 'llama.cpp']),
      },
    };
  });
  return {
    title: {
      text: `Tokens a second, ${model}`,
      subtitle: 'Whole engine with the gate, greedy; two experts take two rows an answer.',
    },
    hconcat: panels,
    // A panel's encodings are of several shapes, which the schema's types cannot express.
  } as TopLevelSpec;
}

const scale = (domain: readonly string[]) => ({
  field: 'name',
  type: 'nominal',
  scale: { domain },
});

/** A running answer's gaps, as multiples of the usual one, over seconds since a prompt arrived. */
export function gapPlot({ points }: RowResult, model: string): TopLevelSpec {
  const [end = 0] = (points.reading ?? []).map(({ x }: Point) => x);
  const gaps = points.gaps ?? [];
  return {
    width: 820,
    height: 260,
    title: {
      text: `Gaps of a running answer while a prompt of 2,000 tokens is read, ${model}`,
      subtitle:
        'As multiples of its usual gap. Shaded: from the prompt’s arrival to its first token. Dashed: the reach.',
    },
    layer: [
      {
        data: { values: [{ begin: 0, end }] },
        mark: { type: 'rect', color: MUTED, opacity: 0.15 },
        encoding: { x: { field: 'begin', type: 'quantitative' }, x2: { field: 'end' } },
      },
      {
        data: { values: [{ y: GAP_REACH }] },
        mark: { type: 'rule', color: INK, strokeDash: [5, 4] },
        encoding: { y: { field: 'y', type: 'quantitative' } },
      },
      {
        data: { values: gaps },
        mark: { type: 'line', point: { filled: true, size: 18 }, strokeWidth: 0.8, color: COLORS[0] },
        encoding: {
          x: { field: 'x', type: 'quantitative', axis: { title: 'seconds since the prompt arrived', grid: false } },
          y: { field: 'y', type: 'quantitative', axis: { title: 'gap / usual gap' }, scale: { zero: true } },
        },
      },
    ],
    // As above.
  } as TopLevelSpec;
}
