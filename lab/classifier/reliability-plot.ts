/**
 * The reliability plot as an SVG file. It has one square per label, which shows what the model said
 * against how often it was true, before and after calibration. A point on the diagonal is an honest
 * probability. Its area grows with the number of rows behind it. We do not use Vega. It is a
 * development dependency, training runs without development dependencies, and sixteen squares of
 * circles do not need it.
 */
import type { Reliability } from './evaluate.ts';
import type { ReliabilityBin } from './metrics.ts';

const COLUMNS = 4;
/** Pixels. */
const SIDE = 150;
const GAP = 50;
const TOP = 56;

const STYLE = {
  before: { fill: 'none', stroke: '#8a8a8a' },
  after: { fill: '#1f6feb', stroke: '#1f6feb' },
} as const;

export function reliabilityPlot(panels: readonly Reliability[]): string {
  const step = SIDE + GAP;
  const width = GAP + COLUMNS * step;
  const height = TOP + Math.ceil(panels.length / COLUMNS) * step + GAP / 2;
  const squares = panels.map((panel, i) => {
    const [x, y] = [GAP + (i % COLUMNS) * step, TOP + GAP / 2 + Math.floor(i / COLUMNS) * step];
    return `<g transform="translate(${x} ${y})">${square(panel)}</g>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#fff"/>
<text x="${GAP}" y="24" font-size="15">Held-out prompts: probability said (across) and share that it was true of (up)</text>
<circle cx="${GAP + 5}" cy="41" r="4" ${paint('before')}/><text x="${GAP + 15}" y="45">before calibration</text>
<circle cx="${GAP + 135}" cy="41" r="4" ${paint('after')}/><text x="${GAP + 145}" y="45">after; larger circles have more rows</text>
${squares.join('\n')}
</svg>
`;
}

function square({ name, before, after }: Reliability): string {
  return `
<text y="-6">${name}</text>
<rect width="${SIDE}" height="${SIDE}" fill="none" stroke="#ccc"/>
<path d="M0 ${SIDE}L${SIDE} 0" stroke="#ccc" stroke-dasharray="3 3"/>
${curve(before, 'before')}
${curve(after, 'after')}
<text y="${SIDE + 12}">0</text><text x="${SIDE}" y="${SIDE + 12}" text-anchor="end">1</text>
`;
}

function curve(bins: readonly ReliabilityBin[], style: keyof typeof STYLE): string {
  const at = ({ probability, target }: ReliabilityBin) =>
    [SIDE * probability, SIDE * (1 - target)].map(tenth) as [number, number];
  const line = bins.map((bin) => at(bin).join(' ')).join('L');
  const points = bins.map((bin) => {
    const [x, y] = at(bin);
    return `<circle cx="${x}" cy="${y}" r="${tenth(1 + Math.log10(bin.rows))}" ${paint(style)}/>`;
  });
  return `<path d="M${line}" fill="none" stroke="${STYLE[style].stroke}" stroke-width="0.7"/>${points.join('')}`;
}

function paint(style: keyof typeof STYLE): string {
  const { fill, stroke } = STYLE[style];
  return `fill="${fill}" stroke="${stroke}"`;
}

function tenth(value: number): number {
  return Math.round(10 * value) / 10;
}
