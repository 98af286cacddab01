/** Installs VitePress by its own lockfile, if that was not done yet. `build.ts` runs it. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureInstalled, LaunchError } from '../scripts/install.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
try {
  await ensureInstalled(path.join(here, 'vitepress'), {
    lock: path.join(here, '../.plimsoll/install-vitepress.lock'),
    what: 'VitePress, which builds the pages (about 100 MB on disk)',
  });
} catch (error) {
  if (!(error instanceof LaunchError)) throw error;
  console.error(`plimsoll: ${error.message}`);
  process.exitCode = 1;
}
