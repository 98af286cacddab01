/**
 * The folders that the stages write, and how we recognise each one. We check the content of the
 * files, because anybody can use the same names.
 */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { BUNDLE_FILES, GENERATION_CONFIG, PROBE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { EXPERTS_FORMAT, EXPERTS_MANIFEST } from '#gpu-backend/model/experts-folder.ts';
import { BUNDLE_FORMAT } from '#gpu-backend/model/manifest.ts';
import { ROUTER_FILES } from '#gpu-backend/model/router.ts';
import type { FolderKind } from '../run/claim-folder.ts';
import { jsonOf, startOf } from '../run/folder-contents.ts';
import { KEPT_FOLDER } from '../run/kept-numbers.ts';
import { TOKENIZER_CONFIG } from '../tokenizer/chat-files.ts';
import { ADAPTER_FILE } from './expert-weights.ts';
import { RANK_FILE } from './rank.ts';
import { ROUTER_FILE } from './router.ts';
import { SCORE_FILE } from './scorer.ts';

function exactly(file: string): RegExp {
  return new RegExp(`^${file.replaceAll('.', '\\.')}$`);
}
const EXPERT_FILES = /^experts\/[^/]+\/(adapter_config\.json|adapter_model\.safetensors|prompt\.txt)$/;

const ADDITIONS = [...Object.values(ROUTER_FILES), ...Object.values(PROBE_FILES)].map(exactly);

export const BUNDLE: FolderKind = {
  what: 'a bundle',
  isOurs: (dir) => jsonOf(path.join(dir, BUNDLE_FILES.manifest))?.format === BUNDLE_FORMAT,
  holds: [...[...Object.values(BUNDLE_FILES), GENERATION_CONFIG, 'README.md'].map(exactly), ...ADDITIONS, EXPERT_FILES],
};

/** What `export --experts-only` writes. */
export const EXPERTS: FolderKind = {
  what: 'a folder of experts',
  isOurs: (dir) => jsonOf(path.join(dir, EXPERTS_MANIFEST))?.format === EXPERTS_FORMAT,
  holds: [exactly(EXPERTS_MANIFEST), ...ADDITIONS, EXPERT_FILES],
};

export const TOKENIZER: FolderKind = {
  what: 'a tokenizer of the stage tokenizer',
  isOurs: (dir) =>
    JSON.stringify(jsonOf(path.join(dir, BUNDLE_FILES.tokenizerConfig))) === JSON.stringify(TOKENIZER_CONFIG),
  holds: null,
};

/**
 * For each stage, the file that says what was trained. Its fields distinguish runs of the same
 * stage.
 */
const STAGE_FILES = { sft: BUNDLE_FILES.config, expert: ADAPTER_FILE, score: SCORE_FILE, router: ROUTER_FILE } as const;
type TrainingStage = keyof typeof STAGE_FILES;

/** `fields` are the values that the stage's file must have, if there is such a file. */
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
        (isRun(dir) || isJustBegun(dir)) &&
        !others &&
        Object.entries(fields).every(([key, value]) => said === null || said[key] === value)
      );
    },
    holds: null,
  };
}

/** Kept numbers may be inside a run's folder, and come before the run's first step. */
function isJustBegun(dir: string): boolean {
  return readdirSync(dir).join() === KEPT_FOLDER;
}

/** A run makes its metrics file before anything else. It is empty until the first step. */
function isRun(dir: string): boolean {
  const metrics = path.join(dir, 'metrics.jsonl');
  if (!existsSync(metrics)) return false;
  const [first = ''] = startOf(metrics).split('\n');
  return first === '' || /^\{"step":\d+,/.test(first);
}

const isRankFile = (json: Record<string, unknown> | null) =>
  json !== null && ['definition', 'base', 'tokenizer', 'parents'].every((key) => key in json);

export const DUAL_PAIRS: FolderKind = {
  what: 'the pairs of the stage rank',
  isOurs: (dir) =>
    // A stage that was stopped may have written nothing else yet.
    isRankFile(jsonOf(path.join(dir, RANK_FILE))) ||
    ['train.jsonl', 'held-out.jsonl'].some((name) => {
      const file = path.join(dir, name);
      // The first row may be longer than the part we read.
      return (
        existsSync(file) &&
        /^\{"prompt":\[\{"role":/.test(startOf(file)) &&
        /"safer":null,"source":/.test(startOf(file))
      );
    }),
  holds: null,
};

export const ANY_RUN: FolderKind = { what: 'a run', isOurs: isRun, holds: null };
