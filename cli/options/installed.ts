/** Whether this is an installed release and not a checkout: npm packs no package-lock.json. */
import { existsSync } from 'node:fs';

export const INSTALLED = !existsSync(new URL('../../package-lock.json', import.meta.url));
