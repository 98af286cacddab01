/**
 * Draws labelled data from the small world: dialogues to learn speech from, pairs to learn
 * preferences from, and questions for evaluation. Every row is a function of (seed, split, its
 * number), so a longer run begins with the shorter one.
 */

import { createRandom, type Random } from '#training/data/random.ts';
import { type ComposedAnswer, composeAnswer } from './compose-answer.ts';
import { composeConversation, type Question } from './compose-conversation.ts';
import { typeInHaste, wordingsOf, wrapQuestion } from './compose-question.ts';
import { drawJailbreak } from './jailbreaks.ts';
import { labelPair } from './label-pair.ts';
import { loadTopics } from './load-topics.ts';
import { fillFrame } from './phrases.ts';
import { formQuestion } from './question-forms.ts';
import {
  type AnswerKind,
  type DialogueRow,
  type FollowUp,
  type PairRow,
  type Prompt,
  QUESTION_KINDS,
  type QuestionKind,
  type QuestionRow,
  type Split,
} from './rows.ts';
import type { Ask, Topic } from './schema.ts';

export type AnswerShares = Record<QuestionKind, Record<AnswerKind, number>>;

export const QUESTION_SHARES: Record<QuestionKind, number> = { ordinary: 0.5, borderline: 0.25, harmful: 0.25 };

/**
 * What the base model sees. It must be able to say everything, good and bad, so that the experts
 * trained from it have something to prefer. On harmful questions it complies more often than it
 * behaves.
 */
export const ANSWER_SHARES: AnswerShares = {
  ordinary: { helpful_safe: 0.62, helpful_hazardous: 0.1, useless_safe: 0.18, useless_hazardous: 0.1 },
  borderline: { helpful_safe: 0.36, helpful_hazardous: 0.32, useless_safe: 0.22, useless_hazardous: 0.1 },
  harmful: { helpful_safe: 0.26, helpful_hazardous: 0.36, useless_safe: 0.28, useless_hazardous: 0.1 },
};

const PAIR_KINDS = {
  'safe-vs-hazardous-help': ['helpful_safe', 'helpful_hazardous'],
  'hazardous-help-vs-refusal': ['helpful_hazardous', 'useless_safe'],
  'safe-help-vs-refusal': ['helpful_safe', 'useless_safe'],
  'safe-help-vs-dismissal': ['helpful_safe', 'useless_hazardous'],
  'hazardous-help-vs-dismissal': ['helpful_hazardous', 'useless_hazardous'],
  'refusal-vs-dismissal': ['useless_safe', 'useless_hazardous'],
  'more-vs-less-safe-help': ['helpful_safe', 'helpful_safe'],
  'more-vs-less-hazardous-help': ['helpful_hazardous', 'helpful_hazardous'],
} as const satisfies Record<string, readonly [AnswerKind, AnswerKind]>;
type PairKind = keyof typeof PAIR_KINDS;
export type PairShares = Record<QuestionKind, Record<PairKind, number>>;

/**
 * Which answers are compared depends on the question. If it asks for harm, the pairs mostly compare
 * refusals with other answers. Otherwise the most frequent pair is good help against help that
 * contains a hazard. An expert that saw refusals preferred to everything would refuse everything.
 * We leave out pairs of two refusals: they teach neither dimension.
 */
export const PAIR_SHARES: PairShares = {
  ordinary: {
    'safe-vs-hazardous-help': 0.34,
    'hazardous-help-vs-refusal': 0.04,
    'safe-help-vs-refusal': 0.2,
    'safe-help-vs-dismissal': 0.18,
    'hazardous-help-vs-dismissal': 0.08,
    'refusal-vs-dismissal': 0.02,
    'more-vs-less-safe-help': 0.1,
    'more-vs-less-hazardous-help': 0.04,
  },
  borderline: {
    'safe-vs-hazardous-help': 0.34,
    'hazardous-help-vs-refusal': 0.14,
    'safe-help-vs-refusal': 0.12,
    'safe-help-vs-dismissal': 0.14,
    'hazardous-help-vs-dismissal': 0.09,
    'refusal-vs-dismissal': 0.07,
    'more-vs-less-safe-help': 0.05,
    'more-vs-less-hazardous-help': 0.05,
  },
  harmful: {
    'safe-vs-hazardous-help': 0.2,
    'hazardous-help-vs-refusal': 0.34,
    'safe-help-vs-refusal': 0.08,
    'safe-help-vs-dismissal': 0.08,
    'hazardous-help-vs-dismissal': 0.1,
    'refusal-vs-dismissal': 0.13,
    'more-vs-less-safe-help': 0.02,
    'more-vs-less-hazardous-help': 0.05,
  },
};

/** Two answers of the same kind are drawn again until one says more, but at most this often. */
const SAME_KIND_DRAWS = 12;

export interface WorldShares {
  /**
   * How often a harmful question comes in a jailbreak frame. A borderline question does so half as
   * often, an ordinary one a tenth as often.
   */
  jailbreakShare?: number | undefined;
  /** The share of rows that have a conversation before the question. */
  multiTurnShare?: number | undefined;
  /** The share of training dialogues that are asked in nothing but keywords of their topic. */
  keywordShare?: number | undefined;
}

/**
 * The shares that are not 0, for a run's settings. Zeros are left out, so that runs from before
 * these shares existed keep the same settings.
 */
export function shareSettings(shares: WorldShares): WorldShares {
  return Object.fromEntries(Object.entries(shares).filter(([, share]) => share > 0));
}

/**
 * Frames and conversations draw from streams of their own. A row that gets neither is the same
 * whatever these shares are.
 */
export interface GenerateOptions extends WorldShares {
  seed: number;
  split: Split;
  count: number;
  topics?: readonly Topic[];
  /** For dialogues: which kinds of answers a question gets. The default is ANSWER_SHARES. */
  answerShares?: AnswerShares | undefined;
  /** For pairs: which two kinds of answers are compared. The default is PAIR_SHARES. */
  pairShares?: PairShares | undefined;
}

/** `generateDialogues({ seed: 1, split: 'train', count: 1000 })` */
export function generateDialogues(options: GenerateOptions): DialogueRow[] {
  const { seed, split, keywordShare, answerShares = ANSWER_SHARES } = options;
  return drawRows(`${seed}/${split}/dialogue`, options, ({ topic, topics, random, index, stream }) => {
    // Held-out dialogues use the plain form: the others contain sentences of the answers.
    const question = drawQuestion(topic, { split, random, forms: split === 'train', keywordShare });
    const kind = random.weighted(answerShares[question.questionKind]);
    const posed = poseQuestion(question, { ...options, topics, stream });
    const answer = composeAnswer({ ...posed.about, kind, random });
    const [first, ...others] = posed.prompt;
    const messages = [...others, { role: 'assistant' as const, content: answer.text }];
    return {
      id: `dialogue-${split}-${index}`,
      ...question.fields,
      ...posed.fields,
      // The messages after the first user turn begin with the assistant's.
      messages: [first, ...messages] as DialogueRow['messages'],
      truth: answer.truth,
    };
  });
}

/** `generatePairs({ seed: 1, split: 'train', count: 1000 })` */
export function generatePairs(options: GenerateOptions): PairRow[] {
  const { seed, split, pairShares = PAIR_SHARES } = options;
  return drawRows(`${seed}/${split}/pair`, options, ({ topic, topics, random, index, stream }) => {
    const question = drawQuestion(topic, { split, random });
    const kinds = random.shuffle(PAIR_KINDS[random.weighted(pairShares[question.questionKind])]);
    const posed = poseQuestion(question, { ...options, topics, stream });
    const [first, second] = drawAnswers([kinds[0]!, kinds[1]!], { ...posed.about, random });
    return {
      id: `pair-${split}-${index}`,
      ...question.fields,
      ...posed.fields,
      source: 'plimsoll-world',
      prompt: posed.prompt,
      response_0: first.text,
      response_1: second.text,
      ...labelPair([first.truth, second.truth], posed.about),
      safe_0: first.truth.safe,
      safe_1: second.truth.safe,
      truth_0: first.truth,
      truth_1: second.truth,
    };
  });
}

/**
 * Draws `perAsk` questions of every ask, cycling through its wordings on this side of the split.
 * The first round is not wrapped.
 */
export function generateQuestions(options: {
  split: Split;
  seed: number;
  perAsk: number;
  topics?: readonly Topic[];
  jailbreakShare?: number;
}): QuestionRow[] {
  const { split, seed, perAsk, topics = loadTopics(), jailbreakShare = 0 } = options;
  return topics.flatMap((topic) =>
    QUESTION_KINDS.flatMap((questionKind) =>
      topic.questions[questionKind].flatMap((ask, askIndex) => {
        const stream = `${seed}/${split}/question/${topic.id}/${questionKind}/${askIndex}`;
        const random = createRandom(stream);
        const wordings = random.shuffle(wordingsOf(ask, { topic, questionKind, split }));
        return Array.from({ length: perAsk }, (_, i): QuestionRow => {
          const wording = wordings[i % wordings.length]!;
          const asked = i < wordings.length ? wording : wrapQuestion(wording, random);
          const aside = createRandom(`${stream}/${i}/jailbreak`);
          const jailbreak = drawJailbreak(questionKind, { share: jailbreakShare, split, random: aside });
          const content = jailbreak ? typeInHaste(fillFrame(jailbreak.frame, wording), aside) : asked;
          return {
            id: `question-${split}-${topic.id}-${questionKind}-${askIndex}-${i}`,
            ...questionFields(topic, { questionKind, askIndex, wording }),
            jailbreak: jailbreak?.name ?? null,
            messages: [{ role: 'user', content }],
            ask: askedFor(ask),
          };
        });
      }),
    ),
  );
}

/**
 * Goes through all topics in a new order each round, so that they are covered evenly whatever the
 * count.
 */
function drawRows<Row>(
  stream: string,
  { count, topics = loadTopics() }: { count: number; topics?: readonly Topic[] },
  draw: (turn: {
    topic: Topic;
    topics: readonly Topic[];
    random: Random;
    index: number;
    /** The row's own stream, to seed further generators from. */
    stream: string;
  }) => Row,
): Row[] {
  let order: Topic[] = [];
  return Array.from({ length: count }, (_, index) => {
    if (index % topics.length === 0) order = createRandom(`${stream}/round/${index}`).shuffle(topics);
    const topic = order[index % topics.length]!;
    const own = `${stream}/${index}`;
    return draw({ topic, topics, random: createRandom(own), index, stream: own });
  });
}

/**
 * Poses the question as it was drawn, in a jailbreak frame, at the end of a conversation, or both.
 * Compose the answer from `about`: in a conversation that is less than the whole topic.
 */
function poseQuestion(
  question: DrawnQuestion,
  options: WorldShares & { topics: readonly Topic[]; split: Split; stream: string },
): {
  prompt: Prompt;
  about: { topic: Topic; ask: Ask; questionKind: QuestionKind };
  fields: { jailbreak: string | null; followUp: FollowUp | null; ask: QuestionRow['ask'] };
} {
  const { topics, split, stream, jailbreakShare = 0, multiTurnShare = 0 } = options;
  const { questionKind, wording } = question;
  const aside = createRandom(`${stream}/jailbreak`);
  const jailbreak = drawJailbreak(questionKind, { share: jailbreakShare, split, random: aside });
  const random = createRandom(`${stream}/conversation`);
  const conversation = random.chance(multiTurnShare)
    ? composeConversation({ question, jailbreak, topics, split, random })
    : null;
  const { topic, ask } = conversation ?? question;
  const alone = jailbreak ? typeInHaste(fillFrame(jailbreak.frame, wording), aside) : question.content;
  return {
    prompt: conversation?.prompt ?? [{ role: 'user', content: alone }],
    about: { topic, ask, questionKind },
    fields: {
      jailbreak: jailbreak?.name ?? null,
      followUp: conversation?.followUp ?? null,
      ask: askedFor(ask),
    },
  };
}

function askedFor({ facts, hazards, cautions }: Ask): QuestionRow['ask'] {
  return { facts, hazards, cautions };
}

type DrawnQuestion = Question & {
  /** The wording, put into its form and wrapped. */
  content: string;
  fields: ReturnType<typeof questionFields>;
};

function drawQuestion(
  topic: Topic,
  {
    split,
    random,
    forms = false,
    keywordShare,
  }: { split: Split; random: Random; forms?: boolean; keywordShare?: number | undefined },
): DrawnQuestion {
  const questionKind = random.weighted(QUESTION_SHARES);
  const asks = topic.questions[questionKind];
  const askIndex = random.int(0, asks.length - 1);
  const ask = asks[askIndex]!;
  const wordings = wordingsOf(ask, { topic, questionKind, split });
  const wording = random.pick(wordings);
  const asked = forms ? formQuestion({ topic, ask, questionKind, wording, wordings, random }, keywordShare) : wording;
  const content = wrapQuestion(asked, random);
  const fields = questionFields(topic, { questionKind, askIndex, wording });
  return { topic, ask, questionKind, wording, content, fields };
}

function questionFields(
  topic: Topic,
  { questionKind, askIndex, wording }: { questionKind: QuestionKind; askIndex: number; wording: string },
) {
  const category = questionKind === 'ordinary' ? null : topic.category;
  return { topic: topic.id, domain: topic.domain, category, questionKind, askIndex, wording };
}

function drawAnswers(
  [kind0, kind1]: readonly [AnswerKind, AnswerKind],
  about: { topic: Topic; ask: Ask; questionKind: QuestionKind; random: Random },
): [ComposedAnswer, ComposedAnswer] {
  for (let draw = 1; ; draw++) {
    const first = composeAnswer({ ...about, kind: kind0 });
    const second = composeAnswer({ ...about, kind: kind1 });
    const settled = kind0 !== kind1 || labelPair([first.truth, second.truth], about).better !== null;
    if (settled || (draw === SAME_KIND_DRAWS && first.text !== second.text)) return [first, second];
    // Late in a conversation there may be only one thing left to say. Then the other answer is a
    // refusal.
    if (draw === SAME_KIND_DRAWS) return [first, composeAnswer({ ...about, kind: 'useless_safe' })];
  }
}
