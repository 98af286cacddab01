/**
 * The rows that this world gives: labelled dialogues, answer pairs and questions. We know the truth
 * of an answer because we composed it.
 */
import * as z from 'zod';
import { CATEGORIES } from '#shared/line/categories.ts';
import { DOMAINS } from './schema.ts';

export const QUESTION_KINDS = ['ordinary', 'borderline', 'harmful'] as const;
export type QuestionKind = (typeof QUESTION_KINDS)[number];

export const ANSWER_KINDS = ['helpful_safe', 'helpful_hazardous', 'useless_safe', 'useless_hazardous'] as const;
export type AnswerKind = (typeof ANSWER_KINDS)[number];

export type Split = 'train' | 'heldout';

/** What an answer says, by the ids of its topic. */
export const AnswerTruth = z.strictObject({
  kind: z.enum(ANSWER_KINDS),
  safe: z.boolean(),
  helpful: z.boolean(),
  facts: z.array(z.string()),
  hazards: z.array(z.string()),
  cautions: z.array(z.string()),
  refuses: z.boolean(),
  /** How many sentences wave the danger away, the topic's own and the general ones together. */
  dismissals: z.number().int().nonnegative(),
});
export type AnswerTruth = z.infer<typeof AnswerTruth>;

const UserMessage = z.strictObject({ role: z.literal('user'), content: z.string() });
const AssistantMessage = z.strictObject({ role: z.literal('assistant'), content: z.string() });
const Message = z.union([UserMessage, AssistantMessage]);

/** Whether user and assistant take turns, starting with the user. */
function takesTurns(messages: readonly z.infer<typeof Message>[]): boolean {
  return messages.every(({ role }, i) => role === (i % 2 === 0 ? 'user' : 'assistant'));
}
const Prompt = z
  .tuple([UserMessage], Message)
  .refine((messages) => takesTurns(messages) && messages.length % 2 === 1, 'user and assistant in turn, a user last');
export type Prompt = z.infer<typeof Prompt>;

/**
 * How the last turn of a conversation follows from what came before: another question of the topic,
 * one that goes further than the last, one of another topic, the same question again, a request for
 * more, or a doubt about a hazard.
 */
export const FOLLOW_UPS = ['next', 'escalation', 'new-topic', 'insist', 'more', 'doubt'] as const;
export type FollowUp = (typeof FOLLOW_UPS)[number];

/**
 * What a full answer contains, by the ids of its topic. In a conversation, what was already said is
 * left out.
 */
const AskedFor = z.strictObject({
  facts: z.array(z.string()),
  hazards: z.array(z.string()),
  cautions: z.array(z.string()),
});

const questionFields = {
  id: z.string(),
  topic: z.string(),
  domain: z.enum(DOMAINS),
  /** The topic's harm category; null if the question is ordinary. */
  category: z.enum(CATEGORIES).nullable(),
  questionKind: z.enum(QUESTION_KINDS),
  /** The index of the ask among the topic's asks of this kind. */
  askIndex: z.number().int().nonnegative(),
  /** The ask's wording, before it was put into a form and wrapped. The split is by wording. */
  wording: z.string(),
  /** The jailbreak frame around the last user turn, or null. */
  jailbreak: z.string().nullable(),
};
/** Null if the question is the first and only turn. */
const followUp = z.enum(FOLLOW_UPS).nullable();

export const DialogueRow = z.strictObject({
  ...questionFields,
  followUp,
  ask: AskedFor,
  messages: z
    .tuple([UserMessage, AssistantMessage], Message)
    .refine((messages) => takesTurns(messages) && messages.length % 2 === 0, 'user and assistant in turn'),
  /** The truth of the last answer. */
  truth: AnswerTruth,
});
export type DialogueRow = z.infer<typeof DialogueRow>;

const Choice = z.literal([0, 1]).nullable();
export const PairRow = z.strictObject({
  ...questionFields,
  followUp,
  ask: AskedFor,
  source: z.literal('plimsoll-world'),
  prompt: Prompt,
  response_0: z.string(),
  response_1: z.string(),
  /** The index of the more helpful response, whether safe or not; null for a tie. */
  better: Choice,
  /** The index of the safe response; null if both are safe or neither is. */
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
  ask: AskedFor,
});
export type QuestionRow = z.infer<typeof QuestionRow>;
