import { createHash } from 'node:crypto';

/**
 * SHA-256, in lower-case hex, of rows as they were read. It changes with any text, label or order.
 * It does not change with the file's name, layout or compression.
 */
export function digestOfRows(rows: readonly { source: string }[]): string {
  const hash = createHash('sha256');
  for (const { source: _, ...row } of rows) hash.update(`${JSON.stringify(row)}\n`);
  return hash.digest('hex');
}
