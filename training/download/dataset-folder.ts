import path from 'node:path';
import type { FolderKind } from '../run/claim-folder.ts';
import { jsonOf } from '../run/folder-contents.ts';
import { LOCK_FILE } from './lock-file.ts';

/** The folder of one data set. */
export const DATASET: FolderKind = {
  what: 'a downloaded data set',
  isOurs: (dir) => typeof jsonOf(path.join(dir, LOCK_FILE))?.repo === 'string',
  holds: null,
};
