import { createHash } from 'node:crypto';
import type { Origin } from './rows.ts';

/**
 * SHA-256, in lower-case hex, of rows as they were read. It changes with any text, label or order.
 * It does not change with the file's name, licence, layout or compression.
 */
export function digestOfRows(rows: readonly Origin[]): string {
  const hash = createHash('sha256');
  for (const { source: _, licence: __, ...row } of rows) hash.update(`${JSON.stringify(row)}\n`);
  return hash.digest('hex');
}
