/** What the tests of bundles share: sound bundles on disk, and copies with one thing broken. */
import { mkdtempSync } from 'node:fs';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { tinyBundle } from '../fixtures/tiny-bundle.ts';
import { readSafetensors } from '../read-safetensors.ts';
import type { Tensor } from '../tensor.ts';
import { writeBundle } from '../write-bundle.ts';
import { writeSafetensors } from '../write-safetensors.ts';

/** Call it once in a test file. Its folder goes when the tests end. */
export function bundleBench(name: string) {
  const root = mkdtempSync(join(tmpdir(), `${name}-`));
  const sound = join(root, 'sound');
  const routed = join(root, 'routed');
  beforeAll(async () => {
    await writeBundle(sound, tinyBundle(), { dtype: 'f32' });
    await writeBundle(routed, tinyBundle({ routers: true }), { dtype: 'f32' });
  });
  afterAll(() => rm(root, { recursive: true }));
  let count = 0;
  /** A path where nothing is yet. */
  const place = () => join(root, `place-${count++}`);
  return {
    root,
    sound,
    /** The same bundle with routers of both kinds. */
    routed,
    place,
    /** A copy of a sound bundle with one thing broken. */
    async broken(change: (dir: string) => Promise<unknown>, from = sound): Promise<string> {
      const dir = place();
      await cp(from, dir, { recursive: true });
      await change(dir);
      return dir;
    },
  };
}

// biome-ignore lint/suspicious/noExplicitAny: a test reaches into JSON to break it.
export const editJson = (file: string, edit: (json: any) => unknown) => async (dir: string) => {
  const json = JSON.parse(await readFile(join(dir, file), 'utf8'));
  edit(json);
  await writeFile(join(dir, file), JSON.stringify(json));
};

export const editTensors = (file: string, edit: (tensors: Map<string, Tensor>) => unknown) => async (dir: string) => {
  const tensors = await readSafetensors(join(dir, file));
  edit(tensors);
  await writeSafetensors(join(dir, file), tensors, { dtype: 'f32' });
};
