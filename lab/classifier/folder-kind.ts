import { existsSync } from 'node:fs';
import path from 'node:path';
import type { FolderKind } from '#training/run/claim-folder.ts';
import { startOf } from '#training/run/folder-contents.ts';

export const CLASSIFIER: FolderKind = {
  what: 'a classifier',
  isOurs: (dir) =>
    existsSync(path.join(dir, 'classifier.bin')) && startOf(path.join(dir, 'classifier.bin')).startsWith('PLMC'),
  holds: null,
};
