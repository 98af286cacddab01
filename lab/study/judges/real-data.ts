/**
 * The training data of the reward and the cost model that judge the real sets: the judges' side of
 * all prompts (`study-side.ts`). A tenth of those prompts is held out to measure the judges. We do
 * not distribute the judges, so they may learn from files whose licence keeps them out of any
 * weights that we give away.
 */
import path from 'node:path';
import { DIALOGUE_LAYOUTS, type DialogueLayout } from '#training/data/dialogues.ts';
import { assertNoLeak } from '#training/data/leakage.ts';
import type { Dimension } from '#training/data/preferences.ts';
import { createRandom } from '#training/data/random.ts';
import type { Dialogue, Preference } from '#training/data/rows.ts';
import { splitByPrompt } from '#training/data/split-by-prompt.ts';
import type { BaseCorpus } from '#training/stages/base-corpus.ts';
import { preferenceData } from '#training/stages/preference-data.ts';
import { worldDialogues } from '../../world/training-data.ts';
import type { QuestionSet } from '../questions/questions.ts';
import { missingData, STUDY_SHARE, studySides } from '../questions/study-side.ts';

/** Conversations for the judges' base. The licences are the ones in the data's README. */
const DIALOGUE_FILES: readonly { file: string; layout: DialogueLayout; licence: string }[] = [
  { file: 'instr_rasbt_1100.jsonl.gz', layout: 'alpaca', licence: 'Apache-2.0' },
  { file: 'instr_gpteacher.jsonl.gz', layout: 'alpaca', licence: 'MIT' },
  { file: 'instr_dolly.jsonl.gz', layout: 'alpaca', licence: 'CC-BY-SA-3.0' },
  { file: 'instr_alpaca.jsonl.gz', layout: 'alpaca', licence: 'CC-BY-NC-4.0' },
  { file: 'instr_safe_answers.jsonl.gz', layout: 'alpaca', licence: 'mixed, in part CC-BY-NC-4.0' },
  { file: 'instr_lima.jsonl.gz', layout: 'alpaca', licence: 'CC-BY-NC-SA' },
];

const PAIR_FILES: Record<Dimension, readonly { file: string; layout: string }[]> = {
  better: [
    { file: 'pref_helpful_mixed.jsonl.gz', layout: 'plimsoll' },
    { file: 'pref_alpaca_eval.jsonl.gz', layout: 'plimsoll' },
  ],
  safer: [
    { file: 'pref_pku_saferlhf_5k.jsonl.gz', layout: 'plimsoll' },
    { file: 'pref_hh_rlhf_harmless_test.jsonl.gz', layout: 'hh-messages' },
  ],
};

/**
 * A quarter of the mixed pairs differ only in tone. They would teach that a polite answer is a
 * helpful one.
 */
const TONE_PAIRS = /politeness/;

/** The share of the judges' own prompts that is held out. */
const HELD_OUT_SHARE = 0.1;
const HELD_OUT_DIALOGUES = 256;

export type JudgeCorpus = {
  /**
   * Dialogues from the small world, in addition to the real ones, because the study's answers are
   * made of its words.
   */
  worldDialogues: number;
  realDialogues: number;
  /** Longer conversations are left out. */
  maxCharacters: number;
};

export type JudgeData = {
  corpus: BaseCorpus;
  pairs: Record<Dimension, { train: Preference[]; heldOut: Preference[] }>;
};

const JUDGE_FILES: readonly string[] = [...DIALOGUE_FILES, ...PAIR_FILES.better, ...PAIR_FILES.safer].map(
  ({ file }) => file,
);

/**
 * Deterministic in `seed`. Throws if a file is missing, or if one of the judges' prompts is asked
 * in one of `sets` or would be in a larger sample of it.
 */
export async function judgeData({
  seed,
  dataDir,
  corpus: { worldDialogues: count, realDialogues, maxCharacters },
  sets,
}: {
  seed: number;
  dataDir: string | null;
  corpus: JudgeCorpus;
  sets: readonly QuestionSet[];
}): Promise<JudgeData> {
  const missing = missingData(dataDir, JUDGE_FILES);
  if (dataDir === null || missing !== null) throw new Error(`the judges of real text cannot be trained: ${missing}`);

  const rows: PromptedDialogue[] = [];
  for (const { file, layout } of DIALOGUE_FILES) {
    for await (const dialogue of DIALOGUE_LAYOUTS[layout].read(path.join(dataDir, file))) {
      rows.push({ ...dialogue, prompt: dialogue.messages.slice(0, -1) });
    }
  }
  const asked: { prompt: Preference['prompt']; source: string }[] = sets.flatMap(({ id, questions }) =>
    questions.map(({ messages }) => ({ prompt: [...messages], source: `the set ${id}` })),
  );
  const sides = studySides(rows);
  asked.push(...sides.study);
  const pairs = {} as JudgeData['pairs'];
  for (const dimension of ['better', 'safer'] as const) {
    const files = PAIR_FILES[dimension].map(({ file, layout }) => `${layout}:${path.join(dataDir, file)}`);
    const all = await preferenceData({ files, dimension, heldOutShare: STUDY_SHARE });
    asked.push(...all.heldOut);
    pairs[dimension] = ownSides(all.train.filter(({ source }) => !TONE_PAIRS.test(source)));
  }
  const own = ownSides(sides.judges);
  const taught = [...pairs.better.train, ...pairs.safer.train];
  const measured = [...pairs.better.heldOut, ...pairs.safer.heldOut];
  assertNoLeak([...own.train, ...own.heldOut, ...taught, ...measured], asked);
  assertNoLeak([...own.train, ...taught], [...own.heldOut, ...measured]);

  // Both answers of every pair, because a judge must have read what it has to tell apart.
  const spoken = taught.flatMap(({ prompt, responses, source }) =>
    responses.map((content): Dialogue => ({ messages: [...prompt, { role: 'assistant', content }], source })),
  );
  const short = ({ messages }: Dialogue) =>
    messages.reduce((sum, { content }) => sum + content.length, 0) <= maxCharacters;
  const real = createRandom(`${seed}/judges/real`).sample([...own.train, ...spoken].filter(short), realDialogues);
  const world = worldDialogues({ seed, count, edition: 'whole' });
  const corpus = {
    dialogues: [...world, ...real.map(({ messages, source }) => ({ messages, source }))],
    counts: { 'plimsoll-world': world.length, real: real.length },
    heldOutReal: createRandom(`${seed}/judges/held-out`).sample(own.heldOut.filter(short), HELD_OUT_DIALOGUES),
  };
  return { corpus, pairs };
}

type PromptedDialogue = Dialogue & { prompt: Preference['prompt'] };

function ownSides<T extends { prompt: Preference['prompt'] }>(rows: readonly T[]): { train: T[]; heldOut: T[] } {
  return splitByPrompt(rows, { seed: 'study/judges', heldOut: HELD_OUT_SHARE });
}
