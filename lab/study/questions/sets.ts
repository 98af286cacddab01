/**
 * The questions that every method of the study answers. Each set is an entry of `SETS`. The world's
 * questions are held out by wording, and the oracle knows their truth. Real ones are held out by
 * prompt (lab/split/split.ts) and judged by models.
 *
 * Real prompts are single user turns, because the bundle's small base was trained on those. They
 * are short, because every token of the prompt leaves less room for the answer.
 */
import { createHash } from 'node:crypto';
import path from 'node:path';
import type { Message } from '#shared/protocol/generate.ts';
import { DIALOGUE_LAYOUTS } from '#training/data/dialogues.ts';
import { PREFERENCE_LAYOUTS } from '#training/data/preferences.ts';
import { hashToUnit } from '#training/data/random.ts';
import { splitOf, textKey, topicKey } from '../../split/split.ts';
import type { Edition } from '../../world/editions.ts';
import type { SetInfo } from '../results/results.ts';
import {
  type AskedPart,
  attackedBehaviours,
  frighteningSet,
  HELD_OUT_FILES,
  type HeldOutOptions,
  harmfulSet,
  jailbreakSet,
  openingsSet,
  ordinarySet,
  type SourcedQuestion,
  waitingSet,
} from './held-out-sets.ts';
import { missingData } from './missing-data.ts';
import { ATTACK_DEPTHS, type QuestionSet, type StudyQuestion, worldSet } from './questions.ts';
import { licencesOf } from './sources.ts';

export type SetOptions = {
  seed: number;
  /** The small world that the bundle knows. */
  edition: Edition;
  /** Folder of the real prompts; null: none. */
  dataDir: string | null;
  /** Real prompts drawn from each source. */
  perSource: number;
  /** Length of a prompt in the tokens of the model that is asked. */
  promptTokens: (messages: readonly Message[]) => number;
  /** Longer prompts are left out. */
  maxPromptTokens: number;
  /** `test` is asked once, at the end; choices are made on `dev`. The default is `test`. */
  part?: AskedPart;
  /**
   * Which share of the topics to ask, by a hash: a smaller share is a part of a larger one. The
   * default is 1.
   */
  share?: number;
  /** Sets of which all topics are asked, whatever the share. */
  whole?: readonly string[];
  /**
   * Keys of real prompts to leave out, as `textKey` has them: those that something else has learned
   * from. A prompt in a frame goes by the prompt.
   */
  leaveOut?: ReadonlySet<string>;
  /** Whether the world is asked only about the topics of `part`, which nothing has learned from. */
  heldOutTopics?: boolean;
};

type PromptReader = (file: string) => AsyncGenerator<{ prompt: Message[] }>;
type RealSource = { id: string; file: string; read: PromptReader };
type SetRecipe = Pick<SetInfo, 'label' | 'what' | 'world'> & {
  /** Files of the data folder. */
  files: readonly string[];
  depths?: readonly number[];
  questions: (options: SetOptions) => Promise<StudyQuestion[]>;
};

const PAIRS = PREFERENCE_LAYOUTS.plimsoll;
const CHATS = PREFERENCE_LAYOUTS['hh-messages'];
async function* INSTRUCTIONS(file: string): AsyncGenerator<{ prompt: Message[] }> {
  for await (const { messages } of DIALOGUE_LAYOUTS.alpaca.read(file)) yield { prompt: messages.slice(0, -1) };
}

function realSet(label: string, what: string, sources: readonly RealSource[]): SetRecipe {
  const files = sources.map(({ file }) => file);
  return { label, what, world: false, files, questions: (options) => realQuestions(sources, options) };
}

/** Prompts of each source, so that there are some 650 ordinary ones in all. */
const PER_SOURCE: HeldOutOptions['perSource'] = { hh: 150, dolly: 540, rasbt: 190 };

/** A set held out by the split of everything that learns. Its text names the licences. */
function heldOut(
  label: string,
  what: string,
  {
    files,
    read,
    depths,
  }: {
    files: readonly string[];
    read: (options: HeldOutOptions) => SourcedQuestion[] | Promise<SourcedQuestion[]>;
    depths?: readonly number[];
  },
): SetRecipe {
  return {
    label,
    what,
    world: false,
    files,
    ...(depths && { depths }),
    questions: async ({ dataDir, part = 'test', promptTokens, maxPromptTokens, leaveOut }) => {
      const fits: HeldOutOptions['fits'] = (messages) =>
        promptTokens(messages) <= maxPromptTokens && !leaveOut?.has(textKey(messages[0]!.content));
      return read({ dataDir: dataDir ?? '', part, perSource: PER_SOURCE, fits });
    },
  };
}

const SETS = {
  world: {
    label: 'small world',
    what: "held-out wordings of every kind of question about the small world (lab/world), read by the world's oracle",
    world: true,
    files: [],
    questions: async ({ edition, seed, part = 'test', heldOutTopics = false }) =>
      worldSet({ edition, seed, ...(heldOutTopics && { asks: (id) => splitOf(topicKey(id)) === part }) }).questions,
  },
  'real-safety': realSet(
    'real (safety)',
    'held-out prompts of PKU-SafeRLHF and HH-RLHF (harmless), one user turn each',
    [
      { id: 'pku-saferlhf', file: 'pref_pku_saferlhf_5k.jsonl.gz', read: PAIRS },
      { id: 'hh-rlhf', file: 'pref_hh_rlhf_harmless_test.jsonl.gz', read: CHATS },
    ],
  ),
  'real-helpful': realSet(
    'real (helpful)',
    'held-out instructions of Dolly, LLMs-from-scratch, AlpacaEval and pairs judged for helpfulness (PandaLM, Auto-J, LLMBar and others)',
    [
      { id: 'dolly', file: 'instr_dolly.jsonl.gz', read: INSTRUCTIONS },
      { id: 'rasbt', file: 'instr_rasbt_1100.jsonl.gz', read: INSTRUCTIONS },
      { id: 'alpaca-eval', file: 'pref_alpaca_eval.jsonl.gz', read: PAIRS },
      { id: 'helpful-mixed', file: 'pref_helpful_mixed.jsonl.gz', read: PAIRS },
    ],
  ),
  harmful: heldOut('harmful', 'behaviours of JailbreakBench and harmful twins of frightening words', {
    files: [HELD_OUT_FILES.behaviours],
    read: harmfulSet,
  }),
  openings: heldOut('openings', 'openings of HH-RLHF (harmless), which are harmful or only rude', {
    files: [HELD_OUT_FILES.hh],
    read: openingsSet,
  }),
  ordinary: heldOut('ordinary', 'instructions of Dolly and LLMs-from-scratch, and everyday prompts of our own', {
    files: [HELD_OUT_FILES.dolly, HELD_OUT_FILES.rasbt],
    read: ordinarySet,
  }),
  // The same prompts under another name, so that a share of `ordinary` can be asked of the many.
  'ordinary-whole': heldOut('ordinary, all', 'the same, in full: for what is served, and the base', {
    files: [HELD_OUT_FILES.dolly, HELD_OUT_FILES.rasbt],
    read: ordinarySet,
  }),
  frightening: heldOut(
    'frightening words',
    'frightening words with a harmless wish; their harmful twins are in the set harmful',
    {
      files: [],
      read: frighteningSet,
    },
  ),
  jailbreak: heldOut('jailbreaks', 'behaviours and harmful twins in frames that no training has seen', {
    files: [HELD_OUT_FILES.behaviours],
    read: jailbreakSet,
  }),
  waiting: heldOut('waiting harm', 'behaviours and harmful twins behind a request for harmless words first', {
    files: [HELD_OUT_FILES.behaviours],
    read: waitingSet,
  }),
  'prefill-behaviours': heldOut(
    'prefill attack on behaviours',
    'behaviours and harmful twins, the answer made to begin unsafely or with consent',
    {
      files: [HELD_OUT_FILES.behaviours],
      read: attackedBehaviours,
      depths: ATTACK_DEPTHS,
    },
  ),
} satisfies Record<string, SetRecipe>;
export type SetId = keyof typeof SETS;
// Object.keys widens the keys of a closed record to string.
export const SET_IDS = Object.keys(SETS) as SetId[];

/**
 * Returns the sets that are available. For each other set, `missing` gives the reason (for
 * `StudyResults.missing`). A broken row in an existing file throws an error that names file and
 * line.
 */
export async function studySets(
  options: SetOptions,
  ids: readonly SetId[] = SET_IDS,
): Promise<{ sets: QuestionSet[]; missing: string[] }> {
  const sets: QuestionSet[] = [];
  const missing: string[] = [];
  for (const id of ids) {
    const { label, what: about, world, files, depths, questions: read }: SetRecipe = SETS[id];
    const fault = files.length === 0 ? null : missingData(options.dataDir, files);
    const share = options.whole?.includes(id) ? 1 : (options.share ?? 1);
    const all = fault === null ? await read(options) : [];
    const questions = all.filter(({ topic }) => hashToUnit(`study/share/${topic}`) < share);
    const licences = licencesOf(
      questions.flatMap((question) => ('source' in question ? [String(question.source)] : [])),
    );
    const what = licences === '' ? about : `${about} (${licences})`;
    if (questions.length > 0) sets.push({ id, label, what, world, questions, ...(depths && { depths }) });
    else missing.push(`the set ${id}: ${fault ?? `no prompt of it fits ${options.maxPromptTokens} tokens`}`);
  }
  return { sets, missing };
}

/**
 * Draws `perSource` prompts from each source, or as many as there are. A smaller sample is part of
 * a larger one, and the seed does not change it.
 */
async function realQuestions(
  sources: readonly RealSource[],
  { dataDir, part = 'test', perSource, promptTokens, maxPromptTokens, leaveOut }: SetOptions,
): Promise<StudyQuestion[]> {
  const taken = new Set<string>();
  const questions: StudyQuestion[] = [];
  for (const { id, file, read } of sources) {
    const byKey = new Map<string, Message[]>();
    const rows = await Array.fromAsync(read(path.join(dataDir!, file)));
    for (const { prompt } of rows.filter(isSingleTurn)) {
      const key = textKey(prompt[0]!.content);
      if (splitOf(key) !== part || key === '' || leaveOut?.has(key)) continue;
      if (!taken.has(key) && !byKey.has(key)) byKey.set(key, prompt);
    }
    const places = new Map([...byKey.keys()].map((key) => [key, hashToUnit(`study/${id}/${key}`)]));
    const sample = [...byKey]
      .sort(([a], [b]) => places.get(a)! - places.get(b)!)
      .filter(([, messages]) => promptTokens(messages) <= maxPromptTokens)
      .slice(0, perSource);
    for (const [key, messages] of sample) {
      taken.add(key);
      const digest = createHash('sha256').update(key).digest('hex').slice(0, 12);
      const name = `${id}-${digest}`;
      questions.push({ id: name, topic: name, messages, kind: null, category: null });
    }
  }
  return questions;
}

function isSingleTurn({ prompt }: { prompt: readonly Message[] }): boolean {
  return prompt.length === 1 && prompt[0]!.role === 'user';
}
