/**
 * Where a checkout of the project keeps the real conversations: next to itself. Only training and
 * benches read them.
 */
import path from 'node:path';

export const DEFAULT_DATA = path.join(import.meta.dirname, '../../../shared/data');
