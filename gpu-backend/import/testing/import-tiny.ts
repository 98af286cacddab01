/** What the tests of the importer share: a folder for their files, sources in it, and imports. */
import { mkdtempSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { type BundleParts, writeBundle } from '#gpu-backend/model/write-bundle.ts';
import { type ImportOptions, importModel } from '../import-model.ts';
import { type FolderOptions, type GgufOptions, ggufModel, writeHuggingFaceFolder } from './make-sources.ts';

/** Call it once in a test file. Its folder goes when the tests end. */
export function importBench(name: string) {
  const root = mkdtempSync(join(tmpdir(), `${name}-`));
  afterAll(() => rm(root, { recursive: true }));
  let count = 0;
  /** A path where nothing is yet. */
  const place = () => join(root, String(count++));

  return {
    place,
    folderOf: (parts: BundleParts, options: FolderOptions = {}) => writeHuggingFaceFolder(place(), parts, options),
    async ggufOf(parts: BundleParts, options: GgufOptions = {}): Promise<string> {
      const file = `${place()}.gguf`;
      await writeFile(file, ggufModel(parts, options));
      return file;
    },
    /** Two adapters for a model, as PEFT saves them: each is the folder of one expert. */
    async adaptersFor(parts: BundleParts): Promise<NonNullable<ImportOptions['experts']>> {
      const dir = place();
      await writeBundle(dir, parts, { dtype: 'f32' });
      return {
        safety: { adapter: join(dir, 'experts/safety') },
        helpfulness: { adapter: join(dir, 'experts/helpfulness') },
      };
    },
    /** Imports with the base as both experts, unless told otherwise. Returns the new folder. */
    async imported(source: string, options: Partial<ImportOptions> = {}): Promise<string> {
      const out = place();
      await importModel({ source, out, id: 'm', experts: { safety: {}, helpfulness: {} }, ...options });
      return out;
    },
  };
}
