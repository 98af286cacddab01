/**
 * What all pictures share. A picture takes its colours from the page around it: `color-scheme` of
 * that page decides between the light and the dark ones, on a code host and on the site.
 */

const LIGHT = {
  paper: '#f4f7fa',
  box: '#ffffff',
  line: '#9db4ca',
  ink: '#16283a',
  soft: '#4c6277',
  safety: '#2b74c4',
  helpfulness: '#d9822b',
  mixture: '#5a6b7d',
  stop: '#b3341f',
};
const DARK: typeof LIGHT = {
  paper: '#1b2530',
  box: '#232f3c',
  line: '#4a6076',
  ink: '#e6edf3',
  soft: '#a8b8c8',
  safety: '#6fb0f5',
  helpfulness: '#f0a558',
  mixture: '#b4c2d0',
  stop: '#ff8a73',
};
const variables = (colours: typeof LIGHT) =>
  Object.entries(colours)
    .map(([name, colour]) => `--${name}:${colour}`)
    .join(';');

const STYLE = [
  `svg{${variables(LIGHT)}}`,
  `@media (prefers-color-scheme:dark){svg{${variables(DARK)}}}`,
  'text{fill:var(--ink)}.soft{fill:var(--soft);font-size:12px}.small{font-size:11px}',
  '.title{font-size:17px}.head{font-weight:600;font-size:15px}',
  '.mono{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px}.end{text-anchor:end}.mid{text-anchor:middle}',
  '.box{fill:var(--box);stroke:var(--line);stroke-width:1.2}.paper{fill:var(--paper)}',
  '.rule{stroke:var(--line);fill:none}.dash{stroke-dasharray:4 3}',
  '.safety{fill:var(--safety)}.helpfulness{fill:var(--helpfulness)}.mixture{fill:var(--mixture)}.stop{fill:var(--stop)}',
  '.path{fill:none;stroke-width:2.2;stroke-linejoin:round}',
  '.path.safety{fill:none;stroke:var(--safety)}.path.helpfulness{fill:none;stroke:var(--helpfulness)}',
  '.path.mixture{fill:none;stroke:var(--mixture)}.path.stop{fill:none;stroke:var(--stop)}',
].join('\n');

type Size = { width: number; height: number };

/** @param label what a reader hears who does not see the picture */
export function svg({ width, height }: Size, label: string, parts: readonly string[]): string {
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="${escapeXml(label)}">`;
  const paper = `<rect class="paper" width="${width}" height="${height}" rx="10"/>`;
  return [head, `<style>${STYLE}</style>`, paper, ...parts, '</svg>', ''].join('\n');
}

export const text = (x: number, y: number, classes: string, words: string) =>
  `<text class="${classes}" x="${round(x)}" y="${round(y)}">${escapeXml(words)}</text>`;

export const box = (x: number, y: number, width: number, height: number) =>
  `<rect class="box" x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" rx="8"/>`;

export const line = (classes: string, points: readonly (readonly [number, number])[]) =>
  `<polyline class="${classes}" points="${points.map(([x, y]) => `${round(x)},${round(y)}`).join(' ')}"/>`;

export const round = (value: number) => Math.round(value * 10) / 10;

const escapeXml = (words: string) =>
  words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
