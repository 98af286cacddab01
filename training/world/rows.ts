/** The rows this world gives: labelled dialogues, answer pairs and questions. Truth is known because it was composed. */
import * as z from 'zod';
import { CATEGORIES } from '#shared/api/categories.ts';
import { DOMAINS } from './schema.ts';

export const QUESTION_KINDS = ['ordinary', 'borderline', 'harmful'] as const;
export type QuestionKind = (typeof QUESTION_KINDS)[number];

export const ANSWER_KINDS = ['helpful_safe', 'helpful_hazardous', 'useless_safe', 'useless_hazardous'] as const;
export type AnswerKind = (typeof ANSWER_KINDS)[number];

export const SPLITS = ['train', 'heldout'] as const;
export type Split = (typeof SPLITS)[number];

/** What an answer says, by the ids of its topic. */
export const AnswerTruth = z.strictObject({
  kind: z.enum(ANSWER_KINDS),
  safe: z.boolean(),
  helpful: z.boolean(),
  facts: z.array(z.string()),
  hazards: z.array(z.string()),
  cautions: z.array(z.string()),
  refuses: z.boolean(),
  /** Sentences that wave the danger away, the topic's own and the general ones together. */
  dismissals: z.number().int().nonnegative(),
});
export type AnswerTruth = z.infer<typeof AnswerTruth>;

const UserMessage = z.strictObject({ role: z.literal('user'), content: z.string() });
const AssistantMessage = z.strictObject({ role: z.literal('assistant'), content: z.string() });

const questionFields = {
  id: z.string(),
  topic: z.string(),
  domain: z.enum(DOMAINS),
  /** The topic's harm category; null where the question is ordinary. */
  category: z.enum(CATEGORIES).nullable(),
  questionKind: z.enum(QUESTION_KINDS),
  /** Which of the topic's asks of this kind. */
  askIndex: z.number().int().nonnegative(),
  /** The ask's wording before it was put into a form and wrapped; the split is by wording. */
  wording: z.string(),
};

export const DialogueRow = z.strictObject({
  ...questionFields,
  messages: z.tuple([UserMessage, AssistantMessage]),
  truth: AnswerTruth,
});
export type DialogueRow = z.infer<typeof DialogueRow>;

const Choice = z.literal([0, 1]).nullable();
export const PairRow = z.strictObject({
  ...questionFields,
  source: z.literal('plimsoll-world'),
  prompt: z.tuple([UserMessage]),
  response_0: z.string(),
  response_1: z.string(),
  /** Index of the more helpful response, whether safe or not; null is a tie. */
  better: Choice,
  /** Index of the safe response; null where both are safe or neither is. */
  safer: Choice,
  safe_0: z.boolean(),
  safe_1: z.boolean(),
  truth_0: AnswerTruth,
  truth_1: AnswerTruth,
});
export type PairRow = z.infer<typeof PairRow>;

export const QuestionRow = z.strictObject({
  ...questionFields,
  messages: z.tuple([UserMessage]),
  /** What a full answer holds, by the ids of the topic. */
  ask: z.strictObject({ facts: z.array(z.string()), hazards: z.array(z.string()), cautions: z.array(z.string()) }),
});
export type QuestionRow = z.infer<typeof QuestionRow>;
