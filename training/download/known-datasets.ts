/**
 * The public preference sets that `training/data` can read: where they are on the hub, at which
 * commit, and what their licence allows for weights. To add a set, add an entry.
 */
import type { Dimension, PreferenceLayout } from '../data/preferences.ts';

export type KnownDataset = {
  what: string;
  /** The data set's name on the hub. */
  repo: string;
  /**
   * A commit. Or a branch, if the hub itself makes the Parquet files and rewrites the branch; then
   * the lock file pins the commit.
   */
  revision: string;
  /**
   * Path patterns in the repository; `*` does not match `/`. Each must match a file. The test files
   * are for measuring.
   */
  files: { train: readonly string[]; test: readonly string[] };
  layout: PreferenceLayout;
  /** The dimensions in which the pairs were judged. */
  judges: readonly Dimension[];
  licence: string;
  /** Whether weights trained on the set may be distributed for any use, or only for research. */
  weights: 'any use' | 'non-commercial';
};

const BEAVERTAILS = {
  repo: 'PKU-Alignment/BeaverTails',
  layout: 'beavertails',
  judges: ['safer'],
  licence: 'CC-BY-NC-4.0',
  weights: 'non-commercial',
} as const;
const HH_RLHF = {
  repo: 'Anthropic/hh-rlhf',
  revision: '09be8c5bbc57cb3887f3a9732ad6aa7ec602a1fa',
  layout: 'hh-rlhf',
  licence: 'MIT',
  weights: 'any use',
} as const;

export const KNOWN_DATASETS = {
  'pku-saferlhf': {
    what: 'pairs with both labels, and a safe flag for each answer',
    repo: 'PKU-Alignment/PKU-SafeRLHF',
    revision: '9421ffafec3fa40a1f1a7d567b4d525079477ecb',
    files: { train: ['data/*/train.jsonl'], test: ['data/*/test.jsonl'] },
    layout: 'pku-saferlhf',
    judges: ['better', 'safer'],
    licence: 'CC-BY-NC-4.0',
    weights: 'non-commercial',
  },
  'hh-rlhf-harmless': {
    ...HH_RLHF,
    what: 'dialogues with a harmless and a less harmless end',
    files: { train: ['harmless-base/train.jsonl.gz'], test: ['harmless-base/test.jsonl.gz'] },
    judges: ['safer'],
  },
  'hh-rlhf-helpful': {
    ...HH_RLHF,
    what: 'dialogues with a helpful and a less helpful end',
    files: { train: ['helpful-base/train.jsonl.gz'], test: ['helpful-base/test.jsonl.gz'] },
    judges: ['better'],
  },
  'beavertails-30k': {
    ...BEAVERTAILS,
    what: 'single answers, safe or not, with 14 harms',
    revision: '8401fe609d288129cc684a9b3be6a93e41cfe678',
    files: { train: ['round0/30k/train.jsonl.gz'], test: ['round0/30k/test.jsonl.gz'] },
  },
  'beavertails-330k': {
    ...BEAVERTAILS,
    what: 'the same, eleven times as many',
    // The repository's own files are compressed with xz. The hub has the same rows as Parquet, on a
    // branch that it rewrites.
    revision: 'refs/convert/parquet',
    files: { train: ['default/330k_train/*.parquet'], test: ['default/330k_test/*.parquet'] },
  },
  ultrafeedback: {
    what: 'answers of many models, scored by a model (binarized)',
    repo: 'HuggingFaceH4/ultrafeedback_binarized',
    revision: '3949bf5f8c17c394422ccfab0c31ea9c20bdeb85',
    files: { train: ['data/train_prefs-*.parquet'], test: ['data/test_prefs-*.parquet'] },
    layout: 'ultrafeedback',
    judges: ['better'],
    licence: 'MIT',
    weights: 'any use',
  },
} as const satisfies Record<string, KnownDataset>;
export type DatasetName = keyof typeof KNOWN_DATASETS;

export function isDatasetName(name: string): name is DatasetName {
  return Object.hasOwn(KNOWN_DATASETS, name);
}
