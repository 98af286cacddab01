/**
 * How all plots look: a white ground (GitHub's dark mode shows images as they are), a generic font,
 * and Okabe and Ito's colours (2008), which colour-blind readers can tell apart.
 */
import type { Config } from 'vega-lite';

export const INK = '#24292f';
export const MUTED = '#6e7781';
const GRID = '#e5e8eb';

export const COLORS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#555555', '#8c6d1f'] as const;
export const SHAPES = ['circle', 'diamond', 'square', 'triangle-up', 'triangle-down', 'cross'] as const;

/** A second way to tell lines apart. */
export const DASHES: readonly number[][] = [
  [1, 0],
  [7, 3],
  [2, 2],
  [8, 3, 2, 3],
];

export const THEME: Config = {
  background: 'white',
  font: 'sans-serif',
  padding: 14,
  view: { stroke: null },
  axis: {
    labelColor: INK,
    titleColor: INK,
    labelFontSize: 12,
    titleFontSize: 13,
    titleFontWeight: 'normal',
    titlePadding: 10,
    gridColor: GRID,
    domainColor: MUTED,
    tickColor: MUTED,
    labelFlush: false,
  },
  legend: {
    labelColor: INK,
    titleColor: INK,
    labelFontSize: 12,
    titleFontSize: 12,
    symbolSize: 90,
    symbolOpacity: 1,
    labelLimit: 400,
  },
  header: { labelColor: INK, labelFontSize: 13, labelFontWeight: 'bold', title: null },
  title: {
    color: INK,
    fontSize: 16,
    anchor: 'start',
    offset: 14,
    subtitleColor: MUTED,
    subtitleFontSize: 12,
    subtitlePadding: 6,
    subtitleLineHeight: 16,
  },
};
