/** What every reader gives, whatever the file's own layout. */
import type { Message } from '#shared/protocol/generate.ts';

/**
 * A conversation that ends with the assistant's answer. `learns` says which of its answers are examples: the last alone unless it says
 * `every-answer`. In real conversations the earlier ones are mostly small talk and half sentences; the small world composes every one alike.
 */
export type Dialogue = { messages: Message[]; source: string; learns?: 'every-answer' };

/**
 * Two answers to one prompt. `better` is the more helpful one, `safer` the safer one (0, 1, or null: not known or a tie), by
 * whoever labelled the set; `safe` says of each answer by itself whether it is safe (null, or left out: not known). The safer of
 * two answers may be unsafe.
 */
export type Preference = {
  prompt: Message[];
  responses: [string, string];
  better: 0 | 1 | null;
  safer: 0 | 1 | null;
  safe?: [boolean | null, boolean | null];
  source: string;
};

/** One answer that was labelled by itself. */
export type LabelledAnswer = {
  prompt: Message[];
  answer: string;
  safe: boolean;
  source: string;
};
