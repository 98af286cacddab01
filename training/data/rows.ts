/** What every reader yields, whatever the layout of its file. */
import type { Message } from '#shared/protocol/generate.ts';

/**
 * A conversation that ends with the assistant's answer. `learns` says which of its answers are
 * examples: only the last one, or all of them with `every-answer`. In real conversations the
 * earlier answers are mostly small talk and half sentences; the small world composes all of them
 * alike.
 */
export type Dialogue = { messages: Message[]; source: string; learns?: 'every-answer' };

/**
 * Two answers to one prompt, as judged by whoever labelled the set. `better` is the more helpful
 * one and `safer` the safer one (0, 1, or null: not known or a tie). `safe` says of each answer by
 * itself whether it is safe (null or left out: not known). The safer of two answers may still be
 * unsafe.
 */
export type Preference = {
  prompt: Message[];
  responses: [string, string];
  better: 0 | 1 | null;
  safer: 0 | 1 | null;
  safe?: [boolean | null, boolean | null];
  source: string;
};

/** One answer, labelled by itself. */
export type LabelledAnswer = {
  prompt: Message[];
  answer: string;
  safe: boolean;
  source: string;
};
