/** The context of one bundle among several that were given the same bound. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';

/** The backend checks the rest. */
const Positions = z.object({ max_position_embeddings: z.int().positive() });

/**
 * Returns the smaller of `bound` and the tokens that the bundle's model has, or null if there is no
 * bound. If the bundle does not say how many it has, `bound` stays: its backend says what is wrong.
 */
export async function contextOf(dir: string, bound: number | null): Promise<number | null> {
  if (bound === null) return null;
  try {
    const config = Positions.parse(JSON.parse(await readFile(path.join(dir, 'config.json'), 'utf8')));
    return Math.min(bound, config.max_position_embeddings);
  } catch {
    return bound;
  }
}
