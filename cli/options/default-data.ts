/** Where a checkout of the project keeps the real conversations, beside itself. Nothing but training and benches reads it. */
import path from 'node:path';

export const DEFAULT_DATA = path.join(import.meta.dirname, '../../../shared/data');
