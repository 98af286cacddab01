/**
 * `npm run house`: draws the folders' imports and rewrites docs/house.md. With `--check`, as in
 * `npm run check`, it writes nothing and fails on a circle, a forbidden import or an outdated page.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { drawPage, drawText } from './draw.ts';
import { circles, folderGraph } from './folders.ts';
import { readSources } from './imports.ts';
import { breaches } from './layers.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const PAGE = path.join(ROOT, 'docs/house.md');
const check = process.argv.includes('--check');

const sources = readSources(ROOT);
const graph = folderGraph(sources);
console.log(drawText(graph));

const faults = breaches(sources);
// A forbidden import usually also closes a circle. So we report circles only when no import
// is forbidden.
for (const circle of faults.length > 0 ? [] : circles(graph)) {
  faults.push(`folders in a circle: ${[...circle, circle[0]].join(' -> ')}`);
  for (const [i, from] of circle.entries()) {
    const imports = graph.get(from)!.get(circle[(i + 1) % circle.length]!)!;
    faults.push(...imports.slice(0, 3).map((line) => `    ${line}`));
  }
}
for (const { file, longComments } of sources) {
  faults.push(...longComments.map((line) => `${file}:${line} a comment that is longer than 100 columns`));
}

// If there is a circle, the page would leave out the folders on it, so we do not write one.
if (faults.length === 0) {
  const page = drawPage(graph);
  if (!check) writeFileSync(PAGE, page);
  else if (!existsSync(PAGE) || readFileSync(PAGE, 'utf8') !== page)
    faults.push('docs/house.md is out of date: npm run house draws it anew');
}
for (const fault of faults) console.error(fault);
process.exitCode = faults.length === 0 ? 0 : 1;
