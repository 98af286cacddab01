/**
 * Whole imports onto a disk that is too small, or gets full: a small one in memory, where we may
 * mount it.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { loadBundle } from '#gpu-backend/model/load-bundle.ts';
import { type ImportProgress, importModel } from './import-model.ts';
import { importBench } from './testing/import-tiny.ts';
import { tinyModel } from './testing/make-sources.ts';

const { folderOf, imported } = importBench('full-disk');
const base = { safety: {}, helpfulness: {} };
/** 3 MB of weights in 300 tensors. */
const parts = tinyModel({ num_hidden_layers: 32, hidden_size: 64, intermediate_size: 96 });

const run = (command: string, ...args: string[]) => spawnSync(command, args).status === 0;

/** A folder on a disk of its own, or null where mounting is not allowed. */
function smallDisk(kilobytes: number): string | null {
  const dir = mkdtempSync(join(tmpdir(), 'small-disk-'));
  const mounted = process.platform === 'linux' && run('mount', '-t', 'tmpfs', '-o', `size=${kilobytes}k`, 'tmpfs', dir);
  onTestFinished(async () => {
    if (mounted) run('umount', dir);
    await rmdir(dir);
  });
  return mounted ? dir : null;
}
const NO_DISK = 'only root on Linux may mount a small disk';

test('a disk that is too small is refused before any weight is written, and a larger one is used', async ({ skip }) => {
  const disk = smallDisk(1024);
  if (disk === null) return skip(NO_DISK);
  const source = await folderOf(parts);
  const out = join(disk, 'model');
  const refused = importModel({ source, out, id: 'm', experts: base });
  await expect(refused).rejects.toThrow(/the disk is too full: found [\d,]+ bytes free, wanted [\d,]+ more$/);
  expect(existsSync(out)).toBe(false);
  expect(run('mount', '-o', 'remount,size=16m', disk)).toBe(true);
  await importModel({ source, out, id: 'm', experts: base });
  expect((await loadBundle(out)).digest).toBe((await loadBundle(await imported(source))).digest);
});

test('a disk that gets full on the way leaves no bundle, and the same import goes on once there is room', async ({
  skip,
}) => {
  const disk = smallDisk(16_384);
  if (disk === null) return skip(NO_DISK);
  const source = await folderOf(parts);
  const out = join(disk, 'model');
  const other = join(disk, 'something-else');
  const onProgress = ({ stage, done, total }: ImportProgress) => {
    if (stage !== 'write' || done < total / 2 || existsSync(other)) return;
    // Somebody else takes all that is left.
    try {
      writeFileSync(other, Buffer.alloc(16_384 * 1024));
    } catch {}
  };
  const stopped = importModel({ source, out, id: 'm', experts: base, onProgress });
  await expect(stopped).rejects.toThrow(/the disk is (?:too )?full/);
  expect(existsSync(out)).toBe(false);
  await rm(other);
  await importModel({ source, out, id: 'm', experts: base });
  expect((await loadBundle(out)).digest).toBe((await loadBundle(await imported(source))).digest);
  expect(existsSync(`${out}.partial`)).toBe(false);
});
