/**
 * The folders that training writes, and how each is known again: by what is in its files, since a
 * name can be anybody's.
 */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import path from 'node:path';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { BUNDLE_FORMAT } from '#gpu-backend/model/manifest.ts';
import { ROUTER_FILES } from '#gpu-backend/model/router.ts';
import { DEMO } from '#lab/methods/recipe.ts';
import { RUN_NAMES } from '#lab/methods/runs.ts';
import { LOCK_FILE } from '../download/lock-file.ts';
import type { FolderKind } from '../run/claim-folder.ts';
import { ADAPTER_FILE } from '../stages/expert-weights.ts';
import { ROUTER_FILE } from '../stages/router.ts';
import { SCORE_FILE } from '../stages/scorer.ts';
import { TOKENIZER_CONFIG } from '../tokenizer/chat-files.ts';

export const BUNDLE: FolderKind = {
  what: 'a bundle',
  isOurs: (dir) => jsonOf(path.join(dir, BUNDLE_FILES.manifest))?.format === BUNDLE_FORMAT,
  holds: [
    ...[...Object.values(BUNDLE_FILES), ...Object.values(ROUTER_FILES)].map(
      (file) => new RegExp(`^${file.replaceAll('.', '\\.')}$`),
    ),
    /^experts\/[^/]+\/adapter_(config\.json|model\.safetensors)$/,
  ],
};

/** It writes two files more. */
export const DEMO_BUNDLE: FolderKind = { ...BUNDLE, holds: [...BUNDLE.holds!, /^(README\.md|evaluation\.json)$/] };

export const TOKENIZER: FolderKind = {
  what: 'a tokenizer of the stage tokenizer',
  isOurs: (dir) =>
    JSON.stringify(jsonOf(path.join(dir, BUNDLE_FILES.tokenizerConfig))) === JSON.stringify(TOKENIZER_CONFIG),
  holds: null,
};

/**
 * The file that says what was trained, by stage, and which of its fields tell two runs of one stage
 * apart.
 */
const STAGE_FILES = { sft: BUNDLE_FILES.config, expert: ADAPTER_FILE, score: SCORE_FILE, router: ROUTER_FILE } as const;
type TrainingStage = keyof typeof STAGE_FILES;

/** `fields`: what the stage's file must say, where it is there. */
export function runOf(
  stage: TrainingStage,
  { what = stage as string, fields = {} as Readonly<Record<string, unknown>> } = {},
): FolderKind {
  return {
    what: `a run of the stage ${what}`,
    isOurs(dir) {
      const others = Object.entries(STAGE_FILES).some(
        ([name, file]) => name !== stage && existsSync(path.join(dir, file)),
      );
      const said = jsonOf(path.join(dir, STAGE_FILES[stage]));
      return (
        isRun(dir) && !others && Object.entries(fields).every(([key, value]) => said === null || said[key] === value)
      );
    },
    holds: null,
  };
}

/** Its metrics are made before anything else is, and are empty until the first step. */
function isRun(dir: string): boolean {
  const metrics = path.join(dir, 'metrics.jsonl');
  if (!existsSync(metrics)) return false;
  const [first = ''] = startOf(metrics).split('\n');
  return first === '' || /^\{"step":\d+,/.test(first);
}

export const DUAL_PAIRS: FolderKind = {
  what: 'the pairs of the stage rank',
  isOurs: (dir) =>
    ['train.jsonl', 'held-out.jsonl'].some((name) => {
      const file = path.join(dir, name);
      // Its first row may be longer than what is looked at.
      return (
        existsSync(file) &&
        /^\{"prompt":\[\{"role":/.test(startOf(file)) &&
        /"safer":null,"source":/.test(startOf(file))
      );
    }),
  holds: null,
};

export const CLASSIFIER: FolderKind = {
  what: 'a classifier',
  isOurs: (dir) =>
    existsSync(path.join(dir, 'classifier.bin')) && startOf(path.join(dir, 'classifier.bin')).startsWith('PLMC'),
  holds: null,
};

export const REPORT: FolderKind = {
  what: 'a report of the study',
  isOurs: (dir) => jsonOf(path.join(dir, 'summary.json')) !== null && existsSync(path.join(dir, 'README.md')),
  holds: null,
};

export const WORLD_ROWS: FolderKind = {
  what: 'an export of the small world',
  isOurs: (dir) =>
    ['dialogs_train', 'dialogs_heldout', 'pairs_train', 'pairs_heldout'].every((name) =>
      existsSync(path.join(dir, `${name}.jsonl`)),
    ),
  holds: null,
};

const ANY_RUN: FolderKind = { what: 'a run', isOurs: isRun, holds: null };

/**
 * A folder of folders, which a command goes on with each time that it is called. What has another
 * name than these is nobody's business; but one of these must not be somebody else's.
 */
function folderOf(what: string, children: Readonly<Record<string, readonly FolderKind[]>>): FolderKind {
  return {
    what,
    isOurs(dir) {
      const found = readdirSync(dir).flatMap((name) => {
        const [, kinds] = Object.entries(children).find(([names]) => new RegExp(`^(?:${names})$`).test(name)) ?? [];
        return kinds === undefined ? [] : [{ at: path.join(dir, name), kinds }];
      });
      return found.length > 0 && found.every(({ at, kinds }) => isEmptyOr(at, kinds));
    },
    holds: null,
  };
}

function isEmptyOr(dir: string, kinds: readonly FolderKind[]): boolean {
  if (!statSync(dir).isDirectory()) return false;
  return readdirSync(dir).length === 0 || kinds.some((kind) => kind.isOurs(dir));
}

const METHOD_RUNS = { [RUN_NAMES.join('|')]: [ANY_RUN, DUAL_PAIRS] };

export const DEMO_RUNS = folderOf('runs of train demo', {
  tokenizer: [TOKENIZER],
  [DEMO.base.runs.map(({ name }) => name).join('|')]: [ANY_RUN],
  ...METHOD_RUNS,
});

export const REAL_SHARE_RUNS = folderOf('runs of train real-share', {
  tokenizer: [TOKENIZER],
  'share-[0-9.]+': [ANY_RUN],
});

const ANSWERS: FolderKind = {
  what: 'answers of the study',
  isOurs: (dir) => readdirSync(dir).every((name) => /^[\w-]+@[\w-]+\.jsonl(\.tmp)?$/.test(name)),
  holds: null,
};
const JUDGE_RUNS = folderOf('judges of the study', { tokenizer: [TOKENIZER], 'sft|reward|cost': [ANY_RUN] });
const JUDGES: FolderKind = {
  ...JUDGE_RUNS,
  isOurs: (dir) => existsSync(path.join(dir, 'refusal-judge.json')) || JUDGE_RUNS.isOurs(dir),
};

export const STUDY_RUNS = folderOf('runs of the study', {
  'seed-[0-9]+': [folderOf('a seed of the study', { ...METHOD_RUNS, answers: [ANSWERS], 'study-bundle': [BUNDLE] })],
  judges: [JUDGES],
});

/** Of one data set. */
export const DATASET: FolderKind = {
  what: 'a downloaded data set',
  isOurs: (dir) => typeof jsonOf(path.join(dir, LOCK_FILE))?.repo === 'string',
  holds: null,
};

/** Null where there is no such file, or not an object in it. */
function jsonOf(file: string): Record<string, unknown> | null {
  try {
    const json: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** Enough to tell what a file is; it may be large. */
function startOf(file: string): string {
  const bytes = Buffer.alloc(64 << 10);
  const opened = openSync(file, 'r');
  try {
    return bytes.toString('utf8', 0, readSync(opened, bytes));
  } finally {
    closeSync(opened);
  }
}
