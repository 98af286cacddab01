import path from 'node:path';
import type { FolderKind } from '#training/run/claim-folder.ts';
import { jsonOf } from '#training/run/folder-contents.ts';

/** Begins with the states, and goes on with them. */
export const PROBES: FolderKind = {
  what: 'a training of probes',
  isOurs: (dir) => {
    const settings = jsonOf(path.join(dir, 'states/settings.json'));
    return typeof settings?.base === 'string' && typeof settings.prompts === 'string';
  },
  holds: null,
};
