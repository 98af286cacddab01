/** The folders that the study writes. */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { FolderKind } from '#training/run/claim-folder.ts';
import { folderOf, jsonOf } from '#training/run/folder-contents.ts';
import { BUNDLE } from '#training/stages/folder-kinds.ts';
import { METHOD_RUNS } from '../methods/runs.ts';
import { FILES } from './hand-labels/labels.ts';
import { REGISTRATION } from './results/registration.ts';

export const REPORT: FolderKind = {
  what: 'a report of the study',
  isOurs: (dir) => jsonOf(path.join(dir, 'summary.json')) !== null && existsSync(path.join(dir, 'README.md')),
  holds: null,
};

const ANSWERS: FolderKind = {
  what: 'answers of the study',
  isOurs: (dir) => readdirSync(dir).every((name) => /^[\w.-]+@[\w-]+\.jsonl(\.tmp)?$/.test(name)),
  holds: null,
};
/** Begins with the states of labelled answers, and goes on with them. */
export const JUDGES_FOLDER: FolderKind = {
  what: 'judges of the study',
  isOurs: (dir) => typeof jsonOf(path.join(dir, 'states/settings.json'))?.base === 'string',
  holds: null,
};

/** Labels may be beside it, and so may the code that reads them. */
export const SHEET: FolderKind = {
  what: 'a sheet of answers to label by hand',
  isOurs: (dir) => existsSync(path.join(dir, FILES.key)) || existsSync(path.join(dir, 'write-sheet.ts')),
  holds: null,
};

const SEEDS = folderOf('runs of the study', {
  'seed-[0-9]+': [folderOf('a seed of the study', { ...METHOD_RUNS, answers: [ANSWERS], 'study-bundle': [BUNDLE] })],
  judges: [JUDGES_FOLDER],
});

/** A study may be stopped when its hypotheses are registered and nothing is trained yet. */
export const STUDY_RUNS: FolderKind = {
  ...SEEDS,
  isOurs: (dir) => SEEDS.isOurs(dir) || readdirSync(dir).join() === REGISTRATION,
};
