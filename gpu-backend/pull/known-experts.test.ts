/** The experts in this repository for models that are pulled by name. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { openExpertsFolder } from '../model/experts-folder.ts';
import { KNOWN_MODELS } from './known-models.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const withExperts = Object.entries(KNOWN_MODELS).filter(([, { experts }]) => experts !== undefined);

test.each(withExperts)('%s: its experts were trained on the very file that is pulled', async (_, model) => {
  const { manifest } = await openExpertsFolder(path.join(ROOT, model.experts!));
  expect(manifest.base.files.map(({ sha256 }) => sha256)).toEqual([model.file.sha256]);
  expect(manifest.experts.map(({ role }) => role)).toEqual(['safety', 'helpfulness']);
  expect(manifest.licence).toBe('Apache-2.0');
});

test.each(withExperts)('%s: the card names every source that shaped them', async (_, model) => {
  const folder = path.join(ROOT, model.experts!);
  const { manifest } = await openExpertsFolder(folder);
  const card = await readFile(path.join(folder, 'README.md'), 'utf8');
  const sources = manifest.provenance.data.map(({ name }) => name);
  expect(sources.length).toBeGreaterThan(0);
  for (const name of sources) expect(card).toContain(`| ${name} |`);
});
