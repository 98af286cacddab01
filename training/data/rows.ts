/** What every reader gives, whatever the file's own layout. */
import type { Message } from '#shared/protocol/generate.ts';

/** A conversation that ends with the assistant's answer. */
export type Dialogue = { messages: Message[]; source: string };

/**
 * Two answers to one prompt. `better` is the more helpful one, `safer` the safer one (0, 1, or null: not known or a tie), by
 * whoever labelled the set.
 */
export type Preference = {
  prompt: Message[];
  responses: [string, string];
  better: 0 | 1 | null;
  safer: 0 | 1 | null;
  /** Whether each response is safe, where the set says so. */
  safe?: [boolean | null, boolean | null];
  source: string;
};
