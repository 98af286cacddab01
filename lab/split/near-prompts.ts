/**
 * Finds prompts that are nearly the same as one of a stricter part of the split. Their keys differ,
 * so the split alone does not keep them together: "How do I bake bread at home?" may be in test and
 * "How do I bake bread?" in train. We compare every two prompts, without sampling: there are only
 * thousands.
 */
import { promptKey } from '#training/data/prompt-key.ts';
import type { Part } from './split.ts';

/** Jaccard similarity of the two sets of word pairs, as for the classifier's prompts. */
const NEAR = 0.5;

/** A row leaves if it is near a row of a part that comes before its own. */
const STRICTEST_FIRST: readonly Part[] = ['test', 'dev', 'judge', 'train'];

export type PlacedText = { text: string; part: Part };

/** Whether each row is too near to a row of a stricter part, in the order of the rows. */
export function nearStricter(rows: readonly PlacedText[]): boolean[] {
  const prompts = new Map<string, Part>();
  for (const { text, part } of rows) {
    const key = promptKey(text);
    const known = prompts.get(key);
    if (known === undefined || rankOf(part) < rankOf(known)) prompts.set(key, part);
  }
  const near = nearKeys(prompts);
  return rows.map(({ text, part }) => {
    const key = promptKey(text);
    // The same words may be in two parts, such as a question of two topics.
    return near.has(key) || rankOf(prompts.get(key)!) < rankOf(part);
  });
}

function nearKeys(prompts: ReadonlyMap<string, Part>): Set<string> {
  const near = new Set<string>();
  const pairsOf = new Map([...prompts.keys()].map((key) => [key, wordPairs(key)]));
  /** Prompts of stricter parts, by the word pairs in them. */
  const stricter = new Map<string, string[]>();
  for (const part of STRICTEST_FIRST) {
    const own = [...prompts].filter(([, of]) => of === part).map(([key]) => key);
    for (const key of own) if (isNear(key, { pairsOf, stricter })) near.add(key);
    // A prompt that leaves still keeps its neighbours away from looser parts: leaving it out must
    // not let a chain of small changes through.
    for (const key of own) {
      for (const pair of pairsOf.get(key)!) {
        const found = stricter.get(pair);
        if (found) found.push(key);
        else stricter.set(pair, [key]);
      }
    }
  }
  return near;
}

function isNear(
  key: string,
  {
    pairsOf,
    stricter,
  }: { pairsOf: ReadonlyMap<string, ReadonlySet<string>>; stricter: ReadonlyMap<string, readonly string[]> },
): boolean {
  const pairs = pairsOf.get(key)!;
  const shared = new Map<string, number>();
  for (const pair of pairs) {
    for (const other of stricter.get(pair) ?? []) shared.set(other, (shared.get(other) ?? 0) + 1);
  }
  for (const [other, count] of shared) {
    if (count / (pairs.size + pairsOf.get(other)!.size - count) >= NEAR) return true;
  }
  return false;
}

function wordPairs(key: string): Set<string> {
  const words = key.split(' ');
  return new Set(words.length < 2 ? words : words.slice(1).map((word, i) => `${words[i]} ${word}`));
}

function rankOf(part: Part): number {
  return STRICTEST_FIRST.indexOf(part);
}
