/** Files that hold what clients have written: for whoever ran the command, and nobody else. */
import { chmod, rename, rm, stat, writeFile } from 'node:fs/promises';

const OWNER_ALONE = 0o600;

/** Writes a file whole. The old one is there until the new one is; its mode goes with it. */
export async function writePrivate(file: string, text: string): Promise<void> {
  const draft = `${file}.${process.pid}.tmp`;
  // One that a killed run has left keeps its mode.
  await rm(draft, { force: true });
  await writeFile(draft, text, { mode: OWNER_ALONE, flag: 'wx', flush: true });
  await rename(draft, file);
}

/** Takes a file that is there away from everybody else. */
export async function makePrivate(file: string): Promise<void> {
  const { mode } = await stat(file);
  if ((mode & 0o077) !== 0) await chmod(file, OWNER_ALONE);
}
