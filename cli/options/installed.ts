/** Whether this is a release, and where commands look for folders that the user did not name. */
import { existsSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, '../..');

/**
 * True in an installed release, false in a checkout. npm leaves package-lock.json out of a release.
 */
export const INSTALLED = !existsSync(path.join(ROOT, 'package-lock.json'));

/**
 * The default folder of a command: relative to the checkout or, in a release, to the current
 * folder. A release lies in node_modules, where the next install would replace what we write.
 */
export function defaultFolder({ checkout, release }: { checkout: string; release: string }): string {
  return INSTALLED ? path.resolve(release) : path.join(ROOT, checkout);
}
