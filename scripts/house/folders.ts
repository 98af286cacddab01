/**
 * The folders as a graph: which folder imports which, on which storey each folder stands, and
 * whether any of them form a circle (an import cycle).
 */
import path from 'node:path';
import type { SourceFile } from './imports.ts';

/** Folder -> the folders it imports, each with the imports that cause this, as `from -> to`. */
export type FolderGraph = ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>;

/**
 * A folder is a directory without its subdirectories. Type imports count, because whoever reads one
 * folder has to know the other. Test files do not count, because nothing imports them. Helpers in
 * `testing/` count.
 */
export function folderGraph(sources: readonly SourceFile[]): FolderGraph {
  const graph = new Map<string, Map<string, string[]>>();
  for (const { file, imports } of sources) {
    // A file at the root, such as vitest.config.ts, belongs to no folder.
    if (file.endsWith('.test.ts') || !file.includes('/')) continue;
    const folder = path.posix.dirname(file);
    const edges = graph.get(folder) ?? new Map<string, string[]>();
    graph.set(folder, edges);
    for (const { from, line, to } of imports) {
      // A JSON file, such as the root's package.json, imports nothing.
      if ('package' in to || !/\.(tsx?|mjs)$/.test(to.file)) continue;
      const target = path.posix.dirname(to.file);
      if (target === folder) continue;
      edges.set(target, [...(edges.get(target) ?? []), `${from}:${line} -> ${to.file}`]);
    }
  }
  return graph;
}

/**
 * Sorts the folders into storeys. Folders of the lowest storey import no other folder, and folders
 * of a higher storey import only from the storeys below. `knotted` lists the folders that fit no
 * storey, because each of them is part of a circle or stands on one.
 */
export function storeys(graph: FolderGraph): { storeys: string[][]; knotted: string[] } {
  const built = new Set<string>();
  const left = new Set(graph.keys());
  const result: string[][] = [];
  while (left.size > 0) {
    const next = [...left].filter((folder) =>
      [...graph.get(folder)!.keys()].every((to) => built.has(to) || !left.has(to)),
    );
    if (next.length === 0) break;
    for (const folder of next) {
      left.delete(folder);
      built.add(folder);
    }
    result.push(next.sort());
  }
  return { storeys: result, knotted: [...left].sort() };
}

/** Finds the shortest circle through each knotted folder, if any. Lists each circle once. */
export function circles(graph: FolderGraph): string[][] {
  const found = new Map<string, string[]>();
  for (const folder of storeys(graph).knotted) {
    const circle = shortestWayBack(graph, folder);
    const key = circle === null ? '' : [...circle].sort().join(' ');
    if (circle !== null && !found.has(key)) found.set(key, circle);
  }
  return [...found.values()];
}

/** A breadth-first search. `[a, b]` means that a imports b and b imports a. */
function shortestWayBack(graph: FolderGraph, start: string): string[] | null {
  const ways: string[][] = [[start]];
  const seen = new Set<string>();
  for (const way of ways) {
    for (const next of graph.get(way.at(-1)!)?.keys() ?? []) {
      if (next === start) return way;
      if (seen.has(next)) continue;
      seen.add(next);
      ways.push([...way, next]);
    }
  }
  return null;
}
