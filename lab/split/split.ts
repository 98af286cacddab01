/**
 * Which part of the data a prompt belongs to. Experts, heads, routers, probes and judges all ask
 * this one function, so nobody measures on what somebody else has learned from.
 *
 *   train   experts, heads, routers and probes learn from it
 *   judge   only the judges of a study learn from it
 *   dev     every choice is made here
 *   test    asked once, at the end
 *
 * Only a hash of the key decides. Adding, leaving out or moving rows never moves another row.
 */
import { promptKey } from '#training/data/prompt-key.ts';
import { hashToUnit } from '#training/data/random.ts';

export const PARTS = ['train', 'judge', 'dev', 'test'] as const;
export type Part = (typeof PARTS)[number];

/** Shares of the keys. Keys have different numbers of rows, so the shares of the rows differ. */
export const SHARES: Readonly<Record<Part, number>> = { train: 0.58, judge: 0.12, dev: 0.1, test: 0.2 };

/**
 * `key` is what must stay together: see `textKey` and `topicKey`.
 *
 *     splitOf(topicKey('air-rifle')); // 'train', on every machine
 */
export function splitOf(key: string): Part {
  let place = hashToUnit(`smollm2/${key}`);
  for (const part of PARTS) {
    place -= SHARES[part];
    if (place < 0) return part;
  }
  return 'test';
}

/** The key of a prompt or a behaviour: its words, however they are written. */
export function textKey(text: string): string {
  return promptKey(text);
}

/** The key of everything that is asked about a topic of the small world. */
export function topicKey(id: string): string {
  return `topic/${id}`;
}
