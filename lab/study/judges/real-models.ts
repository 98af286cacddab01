/**
 * The judges of the real sets: a reward model and a cost model that share nothing with the models
 * that they judge. Their base has another width, depth, vocabulary and seed than the bundle's, and
 * reads other text. Their pairs are the verdicts of people (and partly of models) on prompts that
 * the study does not ask. The judges are small, so their held-out accuracy should be shown with
 * every figure they give.
 */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { encodeChat } from '#training/data/encode-chat.ts';
import type { PairRows } from '#training/data/encode-pairs.ts';
import type { Preference } from '#training/data/rows.ts';
import type { ScoreKind } from '#training/graphs/score-graph.ts';
import { lastFigures } from '#training/run/last-figures.ts';
import { loadBaseModel, weightCount } from '#training/stages/base-model.ts';
import { SCORE_DIMENSION, scoreStage } from '#training/stages/score.ts';
import { loadScorer, type Scorer } from '#training/stages/scorer.ts';
import { sftStage } from '#training/stages/sft.ts';
import { tokenizerStage } from '#training/stages/tokenizer.ts';
import { openTokenizer, readChatFiles, type TrainingTokenizer } from '#training/tokenizer/chat-files.ts';
import { DEMO } from '../../methods/recipe.ts';
import { heldOutDialogues } from '../../world/training-data.ts';
import type { QuestionSet } from '../questions/questions.ts';
import { type JudgeCorpus, judgeData } from './real-data.ts';

export type JudgeRecipe = {
  seed: number;
  config: DecoderConfig;
  corpus: JudgeCorpus;
  sft: {
    steps: number;
    tokensPerBatch: number;
    learningRate: number;
    promptWeight: number;
    opening: { tokens: number; weight: number };
  };
  score: Record<
    ScoreKind,
    { rank: number; alpha: number; learningRate: number; pairsPerBatch: number; epochs: number }
  >;
};

const SCORE = { rank: 32, alpha: 64, learningRate: 1e-3, pairsPerBatch: 16, epochs: 1 };

/** Trains for about a quarter of an hour on two cores. The base takes half of it. */
export const JUDGES: JudgeRecipe = {
  seed: 23,
  config: {
    ...DEMO.config,
    hidden_size: 192,
    intermediate_size: 512,
    num_hidden_layers: 4,
    max_position_embeddings: 320,
  },
  corpus: { worldDialogues: 3_000, realDialogues: 24_000, maxCharacters: 1_200 },
  sft: {
    steps: 1_600,
    tokensPerBatch: 1536,
    learningRate: 3e-3,
    promptWeight: 0.2,
    opening: { tokens: 0, weight: 1 },
  },
  score: { reward: SCORE, cost: SCORE },
};

type AskedAnswer = { prompt: readonly Message[]; answer: string };

/**
 * One score per answer, in their order; null for an answer that does not fit the judges' context.
 * It is faster to score many at once.
 */
export type ScoreAnswers = (answers: readonly AskedAnswer[]) => Promise<(number | null)[]>;

export type RealModels = {
  /** Higher is more helpful. Scores for one prompt can be compared. The zero means nothing. */
  reward: ScoreAnswers;
  /** Lower is safer. The data do not label single answers, so here too the zero means nothing. */
  cost: ScoreAnswers;
  /** For `StudyResults.judges`: percent, or as the name says. */
  judges: { name: string; what: string; figures: Record<string, number> }[];
};

/**
 * Trains whatever is missing below `dir`, and resumes what was stopped. Throws if the data are not
 * available, if a prompt of `sets` is among the judges' own, or if `dir` was made with other
 * settings.
 */
export async function realModels({
  dir,
  dataDir,
  sets,
  threads,
  recipe = JUDGES,
}: {
  dir: string;
  dataDir: string | null;
  sets: readonly QuestionSet[];
  threads: number;
  recipe?: JudgeRecipe;
}): Promise<RealModels> {
  const { seed, config } = recipe;
  const { corpus, pairs } = await judgeData({ ...recipe, dataDir, sets });
  const at = (name: string) => path.join(dir, name);
  if (!existsSync(path.join(at('tokenizer'), BUNDLE_FILES.tokenizer))) {
    await tokenizerStage({ corpus, out: at('tokenizer'), vocabSize: config.vocab_size });
  }
  const tokenizer = openTokenizer(await readChatFiles(at('tokenizer')));
  const common = { resume: true, seed, tokenizer, threads };
  await sftStage({
    ...common,
    ...recipe.sft,
    config,
    from: null,
    corpus,
    heldOut: { ...heldOutDialogues({ seed, edition: 'whole' }), real: corpus.heldOutReal },
    corpusSettings: { ...recipe.corpus },
    out: at('sft'),
  });
  const base = await loadBaseModel(at('sft'), tokenizer);
  const contextLength = config.max_position_embeddings;
  const train = async (kind: ScoreKind) => {
    const own = pairs[SCORE_DIMENSION[kind]];
    const dataSettings = { pairs: own.train.length, heldOutPairs: own.heldOut.length };
    await scoreStage({ ...common, ...recipe.score[kind], ...own, base, kind, dataSettings, out: at(kind) });
    const scorer = await loadScorer(at(kind), { base, padId: tokenizer.padId, threads, wanted: kind });
    const { heldOutAccuracy, heldOutCalibrationError } = await lastFigures(at(kind));
    return {
      scores: scoresBy(scorer, { tokenizer, contextLength }),
      info: {
        name: kind,
        what: WHAT[kind],
        figures: {
          'pairs trained on': own.train.length,
          'pairs held out by prompt': own.heldOut.length,
          'held-out pairs ordered right, %': 100 * heldOutAccuracy!,
          'calibration error, %': 100 * heldOutCalibrationError!,
          'held-out pairs that length alone orders right, %': 100 * lengthAccuracy(own.heldOut, kind),
        },
      },
    };
  };
  const reward = await train('reward');
  const cost = await train('cost');
  const { 'heldOutLoss.real': loss } = await lastFigures(at('sft'));
  const weights = weightCount(base.config);
  const baseFigures = { weights, steps: base.steps ?? 0, 'held-out loss on real text, nats a token': loss! };
  const what = `the base of reward and cost model: width ${config.hidden_size}, ${config.num_hidden_layers} layers, own vocabulary, seed ${seed}`;
  return {
    reward: reward.scores,
    cost: cost.scores,
    judges: [{ name: "judges' base", what, figures: baseFigures }, reward.info, cost.info],
  };
}

const WHAT: Record<ScoreKind, string> = {
  reward: 'which answer is the more helpful one: pairs of AlpacaEval, PandaLM, Auto-J, LLMBar and others',
  cost: 'which answer is the safer one: pairs of PKU-SafeRLHF and HH-RLHF (harmless)',
};

function scoresBy(
  scorer: Scorer,
  { tokenizer, contextLength }: { tokenizer: TrainingTokenizer; contextLength: number },
): ScoreAnswers {
  return async (answers) => {
    const scores = new Array<number | null>(answers.length).fill(null);
    const rows = answers.map(({ prompt, answer }) => encodeChat({ prompt, answer }, tokenizer));
    // The scorer takes pairs of any two answers. Answers of similar length share a batch without
    // much padding.
    const order = rows
      .map(({ ids }, i) => ({ i, length: ids.length }))
      .filter(({ length }) => length <= contextLength)
      .sort((a, b) => a.length - b.length)
      .map(({ i }) => i);
    const couples = Array.from({ length: Math.ceil(order.length / 2) }, (_, k): [number, number] => {
      const first = order[2 * k]!;
      return [first, order[2 * k + 1] ?? first];
    });
    const pairs = couples.map(([a, b]): PairRows => ({ ...UNLABELLED, chosen: rows[a]!, rejected: rows[b]! }));
    for (const [k, values] of await scorer.score(pairs, null)) {
      couples[k]!.forEach((i, side) => {
        scores[i] = values[side]!;
      });
    }
    return scores;
  };
}

/** The fields of a pair other than its rows. Scoring looks only at the rows. */
const UNLABELLED = {
  preference: { prompt: [], responses: ['', ''], better: null, safer: null, source: 'answers of the study' },
  winner: 0,
  safe: [null, null],
} satisfies Omit<PairRows, 'chosen' | 'rejected'>;

/**
 * How often the pair's winner is the longer answer, or the shorter one if that is more often. A
 * judge that looked only at length would get this far.
 */
function lengthAccuracy(pairs: readonly Preference[], kind: ScoreKind): number {
  const labelled = pairs.flatMap(({ responses: [a, b], [SCORE_DIMENSION[kind]]: winner }) =>
    winner === null || a.length === b.length ? [] : [a.length > b.length === (winner === 0)],
  );
  const longer = labelled.filter(Boolean).length / labelled.length;
  return Math.max(longer, 1 - longer);
}
