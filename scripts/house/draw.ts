/** Draws the house as text for a terminal, and as a Mermaid chart for docs/house.md. */
import { type FolderGraph, storeys } from './folders.ts';
import { LAYERS } from './layers.ts';

/** One line per folder, lowest storey first: `  2  shared/gate  <- shared/line`. */
export function drawText(graph: FolderGraph): string {
  const lines = storeys(graph).storeys.flatMap((folders, storey) =>
    folders.map((folder) => {
      const below = [...graph.get(folder)!.keys()].sort();
      return `${String(storey).padStart(3)}  ${folder}${below.length > 0 ? `  <- ${below.join(' ')}` : ''}`;
    }),
  );
  return lines.join('\n');
}

export function drawPage(graph: FolderGraph): string {
  const tops = Object.keys(LAYERS).filter((top) => [...graph.keys()].some((folder) => topOf(folder) === top));
  return `# The house

Who imports whom, drawn from the code by \`npm run house\`. \`npm run check\` fails when this page is
out of date, when folders import each other in a circle, and when an import breaks the directions in
[layers.ts](../scripts/house/layers.ts). An arrow points from a folder to one that it imports.

${chart(direct(topGraph(graph, tops)))}
${tops.map((top) => floor(graph, top)).join('')}`;
}

/** The folders inside one top folder, if there are several. */
function floor(graph: FolderGraph, top: string): string {
  const folders = [...graph.keys()].filter((folder) => topOf(folder) === top && !/(^|\/)testing(\/|$)/.test(folder));
  if (folders.length < 2) return '';
  const within = new Map(
    folders
      .sort()
      .map((folder) => [folder, [...graph.get(folder)!.keys()].filter((to) => folders.includes(to)).sort()]),
  );
  return `\n## ${top}\n\n${chart(direct(within))}\n`;
}

function topGraph(graph: FolderGraph, tops: readonly string[]): Map<string, string[]> {
  return new Map(
    tops.map((top) => {
      const below = [...graph].filter(([folder]) => topOf(folder) === top).flatMap(([, edges]) => [...edges.keys()]);
      return [top, [...new Set(below.map(topOf))].filter((to) => to !== top && tops.includes(to)).sort()];
    }),
  );
}

/**
 * Leaves out an arrow if a longer path leads to the same folder. A picture of every import would be
 * a tangle.
 */
function direct(edges: ReadonlyMap<string, readonly string[]>): Map<string, string[]> {
  const reaches = (from: string, to: string): boolean =>
    (edges.get(from) ?? []).some((next) => next === to || reaches(next, to));
  return new Map(
    [...edges].map(([from, tos]) => [
      from,
      tos.filter((to) => !tos.some((other) => other !== to && reaches(other, to))),
    ]),
  );
}

function chart(edges: ReadonlyMap<string, readonly string[]>): string {
  const lines = [...edges].flatMap(([from, tos]) => [
    `  ${idOf(from)}["${from}"]`,
    ...tos.map((to) => `  ${idOf(from)} --> ${idOf(to)}`),
  ]);
  return `\`\`\`mermaid\nflowchart TD\n${lines.join('\n')}\n\`\`\``;
}

const topOf = (folder: string) => folder.split('/')[0]!;
const idOf = (folder: string) => folder.replaceAll(/[^a-z]/g, '_');
