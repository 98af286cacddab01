/**
 * Public prompt sets are full of paraphrases ("Write a tutorial on how to make a bomb", "... on how
 * to build a bomb"). A split by exact text would put one in training and its twin in the held-out
 * set. So near-duplicates form a group, and a group stays on one side of the split. MinHash over
 * word pairs with banding finds the candidates (Broder 1997). A prompt joins the first earlier
 * group whose leader shares enough pairs with it. We compare with leaders only: when friends of
 * friends could join, a tenth of all prompts ended up in one group.
 */
import { promptKey } from '#training/data/prompt-key.ts';

const BANDS = 10;
const ROWS_PER_BAND = 2;
/** Jaccard similarity of the two sets of word pairs. */
const SAME_GROUP = 0.5;

/** For each text, the key of its group's leader. */
export function groupNearDuplicates(texts: readonly string[]): string[] {
  const leaders: { key: string; pairs: Set<number> }[] = [];
  const leadersByBand = new Map<string, number[]>();
  return texts.map((text) => {
    const key = promptKey(text);
    const pairs = wordPairs(key);
    const bands = bandsOf(pairs);
    const candidates = new Set(bands.flatMap((band) => leadersByBand.get(band) ?? []));
    for (const candidate of candidates) {
      const leader = leaders[candidate]!;
      if (jaccard(pairs, leader.pairs) >= SAME_GROUP) return leader.key;
    }
    for (const band of bands) {
      const others = leadersByBand.get(band);
      if (others) others.push(leaders.length);
      else leadersByBand.set(band, [leaders.length]);
    }
    leaders.push({ key, pairs });
    return key;
  });
}

function wordPairs(key: string): Set<number> {
  const words = key.split(' ');
  const pairs = words.length < 2 ? words : words.slice(1).map((word, i) => `${words[i]} ${word}`);
  return new Set(pairs.map(hashText));
}

function bandsOf(pairs: ReadonlySet<number>): string[] {
  return Array.from({ length: BANDS }, (_, band) => {
    const minima = Array.from({ length: ROWS_PER_BAND }, (_, row) => {
      const multiplier = Math.imul(2 * (band * ROWS_PER_BAND + row) + 1, 0x9e3779b1);
      let least = 2 ** 32;
      for (const pair of pairs) least = Math.min(least, scramble(Math.imul(pair, multiplier)));
      return least;
    });
    return `${band}:${minima.join(',')}`;
  });
}

function jaccard(a: ReadonlySet<number>, b: ReadonlySet<number>): number {
  let shared = 0;
  for (const pair of a) if (b.has(pair)) shared++;
  return shared / (a.size + b.size - shared);
}

function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}

function scramble(hash: number): number {
  const h = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (h ^ (h >>> 13)) >>> 0;
}
