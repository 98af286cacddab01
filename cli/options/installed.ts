/**
 * True in an installed release, false in a checkout. npm leaves package-lock.json out of a release.
 */
import { existsSync } from 'node:fs';

export const INSTALLED = !existsSync(new URL('../../package-lock.json', import.meta.url));
