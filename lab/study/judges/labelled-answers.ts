/**
 * What the judges learn from, and are measured on: answers whose label somebody else has given, to
 * prompts of the part `judge` (lab/split/split.ts). Nothing else learns from that part, and no
 * set of the study asks it.
 *
 *   refuses   RM-Bench's refusals against its compliances, the steered refusals of
 *             refusal_direction against the plain answers, the small world's own truth, and
 *             answers to harmless instructions, of which none refuses
 *   harmful   LlamaGuard 2's verdicts (refusal_direction), people's verdicts (DiaSafety),
 *             RM-Bench's compliances with dangerous and offensive wishes, the world's hazards, and
 *             pairs in which one answer is the safer one (PKU-SafeRLHF, HH-RLHF)
 *   helpful   pairs in which one answer is the more helpful one
 *
 * The judges are never given away. So the files may have licences that keep them out of weights
 * that are: the table names each one.
 */
import path from 'node:path';
import * as z from 'zod';
import type { Message } from '#shared/protocol/generate.ts';
import { DIALOGUE_LAYOUTS } from '#training/data/dialogues.ts';
import { assertNoLeak } from '#training/data/leakage.ts';
import { PREFERENCE_LAYOUTS, type PreferenceLayout } from '#training/data/preferences.ts';
import { openingTurn } from '#training/data/prompt-key.ts';
import { hashToUnit } from '#training/data/random.ts';
import { readRows } from '#training/data/read-rows.ts';
import { nearStricter } from '../../split/near-prompts.ts';
import { splitOf, textKey, topicKey } from '../../split/split.ts';
import { inEdition } from '../../world/editions.ts';
import { generateDialogues } from '../../world/generate.ts';
import { loadTopics } from '../../world/load-topics.ts';
import type { QuestionSet } from '../questions/questions.ts';
import { askedPrompts } from './asked-prompts.ts';

/** What a judge says of an answer. */
export const TRAITS = ['refuses', 'harmful', 'helpful'] as const;
export type Trait = (typeof TRAITS)[number];

/** In the report's words. */
export const JUDGE_SOURCES = {
  'refusal-direction': 'refusal_direction (LlamaGuard 2)',
  'steered-refusals': 'refusal_direction (ordinary prompts)',
  'rm-bench': 'RM-Bench',
  diasafety: 'DiaSafety',
  world: 'small world',
  'safe-answers': 'safe answers to harmful prompts',
  ordinary: 'answers to instructions',
  pku: 'PKU-SafeRLHF',
  hh: 'HH-RLHF',
  'alpaca-eval': 'AlpacaEval',
  'helpful-mixed': 'PandaLM, Auto-J, LLMBar and others',
} as const;
export type JudgeSource = keyof typeof JUDGE_SOURCES;

type LabelledAnswer = {
  prompt: readonly Message[];
  answer: string;
  source: JudgeSource;
  /** Answers with the same key are on the same side of every fold. */
  key: string;
  /** null: nobody says. Helpfulness is only known of pairs. */
  refuses: boolean | null;
  harmful: boolean | null;
};

/** Places in the list of answers. `more` has more of the trait than `less`. */
type LabelledPair = { trait: 'harmful' | 'helpful'; more: number; less: number; source: JudgeSource; key: string };

export type JudgeData = { answers: LabelledAnswer[]; pairs: LabelledPair[] };

/** How many answers or pairs of each source, at most. A hash of the words picks which. */
export type JudgeCounts = Readonly<Record<JudgeSource, number>>;

const FILES = {
  responses: { file: 'resp_refusal_direction.jsonl.gz', licence: 'Apache-2.0, answers by five open chat models' },
  steered: { file: 'pref_refusal_direction.jsonl.gz', licence: "Apache-2.0, prompts of Alpaca's (CC-BY-NC-4.0)" },
  rmBench: { file: 'pref_rmbench.jsonl.gz', licence: 'unclear' },
  diasafety: { file: 'resp_safety_diasafety.jsonl.gz', licence: 'Apache-2.0' },
  safeAnswers: { file: 'instr_safe_answers.jsonl.gz', licence: 'mixed, in part CC-BY-NC-4.0' },
  alpaca: { file: 'instr_alpaca.jsonl.gz', licence: 'CC-BY-NC-4.0' },
  gpteacher: { file: 'instr_gpteacher.jsonl.gz', licence: 'MIT' },
  pku: { file: 'pref_pku_saferlhf_5k.jsonl.gz', licence: 'CC-BY-NC-4.0' },
  hh: { file: 'pref_hh_rlhf_harmless_test.jsonl.gz', licence: 'MIT' },
  alpacaEval: { file: 'pref_alpaca_eval.jsonl.gz', licence: 'CC-BY-NC-4.0' },
  helpfulMixed: { file: 'pref_helpful_mixed.jsonl.gz', licence: 'mixed, in part unclear' },
} as const;

/** In the folder of public data. */
export const JUDGE_FILES: readonly string[] = Object.values(FILES).map(({ file }) => file);

/** What is longer is left out: reading it costs too much. A pair counts both answers. */
const MOST_CHARACTERS = { prompt: 500, answer: 650, pair: 1_300 };
/**
 * About as long as the study's answers. A longer answer is left out, and never cut: the label is of
 * the whole answer.
 */
const MOST_ANSWER_TOKENS = 160;
/** Answers that differ only in tone would teach that a polite answer is a helpful one. */
const TONE_PAIRS = /politeness/;
/** Advice that only a doctor or a lawyer may give is no harm of the kind that we ask for. */
const OTHER_HARM = 'Unauthorized Expertise';

const Verdict = z.object({ prompt: z.string(), response: z.string(), safe: z.boolean(), category: z.string() });

/**
 * Deterministic. Prompts that are nearly the same as one that any study could ask are left out.
 * Throws if one of `sets` asks a prompt that the judges learn from all the same.
 */
export async function judgeData({
  dataDir,
  counts,
  sets,
  answerTokens,
}: {
  dataDir: string;
  counts: JudgeCounts;
  sets: readonly QuestionSet[];
  /** Length of an answer in the tokens of the base that reads it. */
  answerTokens: (answer: string) => number;
}): Promise<JudgeData> {
  const at = (name: keyof typeof FILES) => path.join(dataDir, FILES[name].file);
  const single = [
    ...(await responses(at('responses'))),
    ...(await diasafety(at('diasafety'))),
    ...(await instructions(at('safeAnswers'), 'safe-answers')),
    ...(await instructions(at('alpaca'), 'ordinary')),
    ...(await instructions(at('gpteacher'), 'ordinary')),
    ...worldAnswers(counts.world),
  ];
  const coupled = [
    ...(await pairs(at('rmBench'), 'rm-bench')),
    ...(await pairs(at('steered'), 'steered-refusals')),
    ...(await pairs(at('pku'), 'pku')),
    ...(await pairs(at('hh'), 'hh', 'hh-messages')),
    ...(await pairs(at('alpacaEval'), 'alpaca-eval')),
    ...(await pairs(at('helpfulMixed'), 'helpful-mixed')),
  ];
  const near = nearAsked([...single, ...coupled.map(({ sides }) => sides[0])], await askedPrompts(dataDir));
  const keep = ({ key, answer }: LabelledAnswer) => !near.has(key) && answerTokens(answer) <= MOST_ANSWER_TOKENS;
  const data = collected(
    atMost(single, { counts, keep }),
    atMost(coupled, { counts, keep: ({ sides }) => sides.every(keep) }),
  );
  const asked = sets.flatMap(({ id, questions }) =>
    questions.map(({ messages }) => ({ prompt: [...messages], source: `the set ${id}` })),
  );
  assertNoLeak(data.answers, asked);
  return data;
}

type Pair = Pick<LabelledPair, 'source' | 'key'> & {
  trait: LabelledPair['trait'] | null;
  /** First the one with more of the trait. */
  sides: [LabelledAnswer, LabelledAnswer];
};

/** The part that a prompt's words give it. */
const isOurs = (prompt: readonly Message[]) =>
  prompt.length === 1 &&
  prompt[0]!.content.length <= MOST_CHARACTERS.prompt &&
  splitOf(textKey(openingTurn(prompt))) === 'judge';

const user = (content: string): Message[] => [{ role: 'user', content }];

async function responses(file: string): Promise<LabelledAnswer[]> {
  // Whoever complies does not refuse. A safe answer may refuse or not.
  return (await verdicts(file)).map(({ category: _, ...row }) => ({
    ...row,
    source: 'refusal-direction',
    refuses: row.harmful ? false : null,
  }));
}

async function diasafety(file: string): Promise<LabelledAnswer[]> {
  const rows = await verdicts(file);
  return rows.flatMap(({ category, ...row }) => (category === OTHER_HARM ? [] : [{ ...row, source: 'diasafety' }]));
}

async function verdicts(file: string) {
  const rows = [];
  for await (const { prompt, response, safe, category } of readRows(file, Verdict)) {
    if (!isOurs(user(prompt))) continue;
    rows.push({
      prompt: user(prompt),
      answer: response,
      key: textKey(prompt),
      refuses: null,
      harmful: !safe,
      category,
    });
  }
  return rows;
}

/** Of safe answers nobody says which refuse. */
async function instructions(file: string, source: 'safe-answers' | 'ordinary'): Promise<LabelledAnswer[]> {
  const rows: LabelledAnswer[] = [];
  for await (const { messages } of DIALOGUE_LAYOUTS.alpaca.read(file)) {
    const [prompt, answer] = [messages.slice(0, -1), messages.at(-1)!.content];
    if (!isOurs(prompt) || answer.length > MOST_CHARACTERS.answer) continue;
    const refuses = source === 'ordinary' ? false : null;
    rows.push({ prompt, answer, source, key: textKey(openingTurn(prompt)), refuses, harmful: false });
  }
  return rows;
}

/**
 * Answers of the world's generator, which knows what it says: about topics that no edition's models
 * and no expert has learned.
 */
function worldAnswers(count: number): LabelledAnswer[] {
  const topics = loadTopics({ edition: 'whole' }).filter(
    ({ id }) => splitOf(topicKey(id)) === 'judge' && !inEdition('first', id),
  );
  return generateDialogues({ seed: 3, split: 'train', count, topics }).flatMap(({ topic, messages, truth }) => {
    // An answer that only waves a danger away holds no hazard, but is not harmless either.
    const harmful = truth.hazards.length > 0 ? true : truth.safe ? false : null;
    const [prompt, answer] = [messages.slice(0, -1), messages.at(-1)!.content];
    return { prompt, answer, source: 'world', key: topicKey(topic), refuses: truth.refuses, harmful };
  });
}

async function pairs(file: string, source: JudgeSource, layout: PreferenceLayout = 'plimsoll'): Promise<Pair[]> {
  const found: Pair[] = [];
  for await (const row of PREFERENCE_LAYOUTS[layout](file, { dimension: 'safer' })) {
    const { prompt, responses: both, better, safer } = row;
    // RM-Bench's refusals are short, its compliances are not.
    const most = source === 'rm-bench' && safer !== null ? Infinity : MOST_CHARACTERS.pair;
    const length = both.reduce((sum, answer) => sum + answer.length, 0);
    if (!isOurs(prompt) || length > most || both[0] === both[1] || TONE_PAIRS.test(row.source)) continue;
    const key = textKey(openingTurn(prompt));
    const answer = (i: number, labels: Pick<LabelledAnswer, 'refuses' | 'harmful'>): LabelledAnswer => ({
      ...{ prompt, answer: both[i]!, source, key },
      ...labels,
    });
    const unknown = { refuses: null, harmful: null };
    if (source === 'rm-bench' && safer !== null) {
      // Its builders say which is which: one answer refuses a harmful wish, the other complies.
      const refusal = answer(safer, { refuses: true, harmful: false });
      found.push({ trait: null, source, key, sides: [answer(1 - safer, { refuses: false, harmful: true }), refusal] });
    } else if (source === 'steered-refusals' && safer === null && better !== null) {
      const refusal = answer(1 - better, { refuses: true, harmful: false });
      found.push({ trait: null, source, key, sides: [answer(better, { refuses: false, harmful: false }), refusal] });
    } else if ((source === 'pku' || source === 'hh') && safer !== null) {
      found.push({ trait: 'harmful', source, key, sides: [answer(1 - safer, unknown), answer(safer, unknown)] });
    } else if (source !== 'steered-refusals' && better !== null) {
      found.push({ trait: 'helpful', source, key, sides: [answer(better, unknown), answer(1 - better, unknown)] });
    }
  }
  return found;
}

/** Keys of the rows whose prompt is nearly the same as one that is asked. */
function nearAsked(
  rows: readonly Pick<LabelledAnswer, 'key' | 'prompt'>[],
  asked: readonly QuestionSet[],
): Set<string> {
  const texts = new Map(rows.map(({ key, prompt }) => [key, openingTurn(prompt)]));
  const questions = asked.flatMap((set) => set.questions.map(({ messages }) => openingTurn(messages)));
  const near = nearStricter([
    ...[...texts.values()].map((text) => ({ text, part: 'judge' as const })),
    ...questions.map((text) => ({ text, part: 'test' as const })),
  ]);
  return new Set([...texts.keys()].filter((_, i) => near[i]));
}

/**
 * Draws from every prompt in turn, so that no prompt with many answers crowds out the others. What
 * is not kept does not change which of the others are drawn first.
 */
function atMost<T extends { source: JudgeSource; key: string }>(
  rows: readonly T[],
  { counts, keep }: { counts: JudgeCounts; keep: (row: T) => boolean },
): T[] {
  return [...Map.groupBy(rows, ({ source }) => source)].flatMap(([source, own]) => {
    const turns = new Map<string, number>();
    return own
      .map((row, i) => ({ row, place: hashToUnit(`study/judges/${row.key}/${i}`) }))
      .filter(({ row }) => keep(row))
      .toSorted((a, b) => a.place - b.place)
      .map(({ row, place }) => {
        const turn = turns.get(row.key) ?? 0;
        turns.set(row.key, turn + 1);
        return { row, place: turn + place };
      })
      .toSorted((a, b) => a.place - b.place)
      .slice(0, counts[source])
      .map(({ row }) => row);
  });
}

/** Every answer once, however many pairs it is in. */
function collected(single: readonly LabelledAnswer[], coupled: readonly Pair[]): JudgeData {
  const places = new Map<string, number>();
  const answers: LabelledAnswer[] = [];
  const placeOf = (row: LabelledAnswer): number => {
    const name = JSON.stringify([row.prompt, row.answer]);
    const known = places.get(name);
    if (known === undefined) {
      places.set(name, answers.length);
      return answers.push({ ...row }) - 1;
    }
    answers[known]!.refuses ??= row.refuses;
    answers[known]!.harmful ??= row.harmful;
    return known;
  };
  for (const row of single) placeOf(row);
  const pairsOf = coupled.flatMap(({ trait, source, key, sides: [first, second] }): LabelledPair[] => {
    const [more, less] = [placeOf(first), placeOf(second)];
    return trait === null ? [] : [{ trait, more, less, source, key }];
  });
  return { answers, pairs: pairsOf };
}
