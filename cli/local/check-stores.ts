import { existsSync, globSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/**
 * Throws if one of the edge's database files is damaged. workerd would notice too, at the first
 * request that needs the file, but it could not say which file it is or what to do. Call this only
 * while no edge runs on the folder.
 */
export function checkStores(edgeDir: string): void {
  if (!existsSync(edgeDir)) return;
  for (const name of globSync('**/*.sqlite', { cwd: edgeDir }).sort()) {
    const file = path.join(edgeDir, name);
    const problem = problemOf(file);
    if (problem === null) continue;
    const part = path.join(edgeDir, name.split(path.sep)[0] ?? '');
    const advice = name.startsWith('do')
      ? `put back a copy of ${part} from before, or delete that folder: the demo tenants are made again, all others are lost`
      : `delete ${part}, which holds copies only`;
    throw new Error(`${file} is damaged (${problem}); ${advice}`);
  }
}

function problemOf(file: string): string | null {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file);
    // The cast is safe: the pragma returns only this column.
    const [row] = database.prepare('PRAGMA quick_check(1)').all() as { quick_check: string }[];
    return row === undefined || row.quick_check === 'ok' ? null : row.quick_check.replaceAll('\n', ' ');
  } catch (error) {
    return (error as Error).message;
  } finally {
    database?.close();
  }
}
