/** The folders that the demo's commands write. */
import type { FolderKind } from '#training/run/claim-folder.ts';
import { folderOf } from '#training/run/folder-contents.ts';
import { ANY_RUN, BUNDLE, TOKENIZER } from '#training/stages/folder-kinds.ts';
import { DEMO } from '../methods/recipe.ts';
import { METHOD_RUNS } from '../methods/runs.ts';

/** The demo writes two more files than other bundles have. */
export const DEMO_BUNDLE: FolderKind = { ...BUNDLE, holds: [...BUNDLE.holds!, /^(README\.md|evaluation\.json)$/] };

export const DEMO_RUNS = folderOf('runs of train demo', {
  tokenizer: [TOKENIZER],
  [DEMO.base.runs.map(({ name }) => name).join('|')]: [ANY_RUN],
  ...METHOD_RUNS,
});

export const REAL_SHARE_RUNS = folderOf('runs of train real-share', {
  tokenizer: [TOKENIZER],
  'share-[0-9.]+': [ANY_RUN],
});
