/**
 * What a row of each layout of preference pairs must hold. Keys that we do not use are left alone.
 */
import * as z from 'zod';
import { Message } from '#shared/protocol/generate.ts';
import { Transcript } from './transcript.ts';

const Choice = z.union([z.literal(0), z.literal(1)]);
const Origin = { source: z.string().optional(), licence: z.string().optional() };
const Prompt = z.union([z.string().min(1), z.array(Message).min(1)]);
const Flag = z.boolean().nullish();

/** The layout of our `pref_*` files and of the small world's pairs. */
export const Pair = z.object({
  prompt: Prompt,
  response_0: z.string(),
  response_1: z.string(),
  better: Choice.nullable(),
  safer: Choice.nullable(),
  safe_0: Flag,
  safe_1: Flag,
  ...Origin,
});
/** PKU-SafeRLHF: `better_response_id` judges helpfulness, `safer_response_id` harmlessness. */
export const PkuSafeRlhf = z.object({
  prompt: z.string(),
  response_0: z.string(),
  response_1: z.string(),
  better_response_id: Choice,
  safer_response_id: Choice,
  is_response_0_safe: Flag,
  is_response_1_safe: Flag,
});
/**
 * HH-RLHF: two whole transcripts that differ only in the last answer. The dimension that was judged
 * depends on the file, not on the row.
 */
export const HhRlhf = z.object({ chosen: Transcript, rejected: Transcript });
/** HH-RLHF already cut into a prompt and two answers: our `pref_hh_*` files. */
export const HhMessages = z.object({
  messages: z.array(Message).min(1),
  chosen: z.string(),
  rejected: z.string(),
  /** What was judged, such as `harmless`. */
  preference: z.string().optional(),
  ...Origin,
});
/**
 * UltraFeedback, binarized: two conversations, with the scores that a model gave to their last
 * answers.
 */
export const UltraFeedback = z.object({
  chosen: z.array(Message).min(2),
  rejected: z.array(Message).min(2),
  score_chosen: z.number(),
  score_rejected: z.number(),
});

const Conversation = z.array(Message).min(1);
/**
 * TRL's preference rows, `prompt`, `chosen` and `rejected`, in both of its forms: texts, or lists
 * of messages. Its rows without a prompt have it inside of two whole conversations.
 */
export const Trl = z
  .object({
    prompt: Prompt.optional(),
    chosen: z.union([z.string(), Conversation]),
    rejected: z.union([z.string(), Conversation]),
    ...Origin,
  })
  .superRefine(({ prompt, chosen, rejected }, context) => {
    const isWhole = (answer: typeof chosen) => typeof answer !== 'string' && answer.length > 1;
    if (prompt !== undefined || (isWhole(chosen) && isWhole(rejected))) return;
    const message = 'a text or messages, or whole conversations as chosen and rejected';
    context.addIssue({ code: 'custom', path: ['prompt'], message });
  });
