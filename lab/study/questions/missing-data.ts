import { existsSync } from 'node:fs';
import path from 'node:path';

/** Why a folder of data cannot be used, in words; null if it holds all of `files`. */
export function missingData(dataDir: string | null, files: readonly string[]): string | null {
  if (dataDir === null) return 'no folder of real data was given';
  if (!existsSync(dataDir)) return `there is no folder ${dataDir}`;
  const missing = files.filter((file) => !existsSync(path.join(dataDir, file)));
  return missing.length === 0 ? null : `${dataDir} lacks ${missing.join(', ')}`;
}
