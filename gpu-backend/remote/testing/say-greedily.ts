import type { ExpertRole } from '../../model/manifest.ts';
import type { Next, Told } from './engine-servers.ts';

/** The likeliest token again and again, each with the whole row that it was chosen from. */
export async function sayGreedily(
  next: Next,
  role: ExpertRole,
  { ids, count, eos }: { ids: readonly number[]; count: number; eos?: number },
): Promise<{ id: number; row: Told[] }[]> {
  const said: { id: number; row: Told[] }[] = [];
  while (said.length < count) {
    const row = await next(role, [...ids, ...said.map(({ id }) => id)]);
    const [id] = row[0]!;
    said.push({ id, row });
    if (id === eos) break;
  }
  return said;
}
