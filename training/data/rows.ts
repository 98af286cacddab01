/** The rows that readers yield, whatever the layout of the file. */
import type { Message } from '#shared/protocol/generate.ts';

/** Where a row is from. */
export type Origin = {
  source: string;
  /** SPDX identifier. Left out, it is that of the source, if that is known (licences.ts). */
  licence?: string | undefined;
};

/**
 * A conversation that ends with the assistant's answer. `learns` says which of its answers are
 * examples: only the last one, or all of them with `every-answer`. In real conversations the
 * earlier answers are mostly small talk and half sentences. The small world composes all its
 * answers alike.
 */
export type Dialogue = Origin & { messages: Message[]; learns?: 'every-answer' };

/**
 * Two answers to one prompt, as judged by whoever labelled the set. `better` is the index of the
 * more helpful answer and `safer` that of the safer one (0, 1, or null: not known or a tie). `safe`
 * says whether each answer on its own is safe (null or left out: not known). The safer of two
 * answers may still be unsafe.
 */
export type Preference = Origin & {
  prompt: Message[];
  responses: [string, string];
  better: 0 | 1 | null;
  safer: 0 | 1 | null;
  safe?: [boolean | null, boolean | null];
};

/** One answer, labelled on its own. */
export type LabelledAnswer = Origin & {
  prompt: Message[];
  answer: string;
  safe: boolean;
};
