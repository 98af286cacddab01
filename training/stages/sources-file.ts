/**
 * `sources.json` in the folder of a run: the sources of the rows that its weights come from, with
 * their licences. Those of the runs that it builds on are among them: who learns from a model's
 * judgement learns from its data.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { type DataSource, sourcesOf, withInherited } from '../data/origins.ts';
import type { Origin } from '../data/rows.ts';
import type { BaseModel } from './base-model.ts';
import { readStageFile } from './stage-file.ts';

export const SOURCES_FILE = 'sources.json';
const SourcesJson = z.strictObject({
  sources: z.array(
    z.strictObject({ name: z.string().min(1), licence: z.string().min(1), rows: z.int().min(0).optional() }),
  ),
});
type SourcesJson = z.infer<typeof SourcesJson>;

/** The sources of a run in `dir`. Null for a run of earlier versions, which does not say. */
export async function readSources(dir: string): Promise<DataSource[] | null> {
  if (!existsSync(path.join(dir, SOURCES_FILE))) return null;
  return (await readStageFile(dir, SOURCES_FILE, { schema: SourcesJson, stage: 'that it says' })).sources;
}

/** What a run writes: the sources of its `rows`, and those of `parents`, folders of other runs. */
export async function sourcesFile(rows: Iterable<Origin>, parents: readonly string[] = []): Promise<SourcesJson> {
  const theirs = await Promise.all(parents.map(async (dir) => (await readSources(dir)) ?? []));
  return { sources: withInherited(sourcesOf(rows), theirs.flat()) };
}

/**
 * What a base comes from. Of a bundle we know the licence that its maker gave it; what it was
 * trained on was their affair.
 */
export async function sourcesOfBase({ dir, manifest }: Pick<BaseModel, 'dir' | 'manifest'>): Promise<DataSource[]> {
  if (manifest !== null) return [{ name: `weights of ${manifest.id}`, licence: manifest.licence }];
  return (await readSources(dir)) ?? [];
}
