/**
 * A small seeded generator, so that a data set is a function of its seed. The seed is a string
 * because its parts carry meaning (`7/train/dialogue/12`). Each row draws from its own stream, so a
 * long run begins with the same rows as a short one. It is sfc32 (Chris Doty-Humphrey, PractRand),
 * seeded through xmur3. Do not use it for secrets.
 */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** Uniform whole number in [low, high], both ends included. */
  int(low: number, high: number): number;
  /** True with the given probability. */
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
  /** A new array in random order. */
  shuffle<T>(items: readonly T[]): T[];
  /** `size` different items, or all of them if there are fewer. */
  sample<T>(items: readonly T[], size: number): T[];
  /** A key of the table, drawn by its share. The shares need not sum to one. */
  weighted<K extends string>(shares: Readonly<Record<K, number>>): K;
}

/** `createRandom('7/train').pick(['a', 'b'])` gives the same letter on every machine. */
export function createRandom(seed: string): Random {
  const hash = xmur3(seed);
  let [a, b, c, d] = [hash(), hash(), hash(), hash()];
  const next = (): number => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return (t >>> 0) / 4294967296;
  };
  // The first outputs of sfc32 still show the seed; twelve rounds are its author's own warm-up.
  for (let i = 0; i < 12; i++) next();

  const int = (low: number, high: number) => low + Math.floor(next() * (high - low + 1));
  const shuffle = <T>(items: readonly T[]): T[] => {
    const order = [...items];
    for (let i = order.length - 1; i > 0; i--) {
      const j = int(0, i);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return order;
  };
  return {
    next,
    int,
    shuffle,
    chance: (probability) => next() < probability,
    pick: (items) => {
      if (items.length === 0) throw new RangeError('pick: nothing to pick from');
      return items[int(0, items.length - 1)]!;
    },
    sample: (items, size) => shuffle(items).slice(0, size),
    weighted: <K extends string>(shares: Readonly<Record<K, number>>): K => {
      // Object.entries widens the keys of a closed record to string.
      const entries = Object.entries(shares) as [K, number][];
      let left = next() * entries.reduce((sum, [, share]) => sum + share, 0);
      for (const [key, share] of entries) {
        left -= share;
        if (left < 0) return key;
      }
      return entries.findLast(([, share]) => share > 0)![0];
    },
  };
}

/** Maps a text to a stable number in [0, 1), the same in every run and under every seed. */
export function hashToUnit(text: string): number {
  return xmur3(text)() / 4294967296;
}

function xmur3(text: string): () => number {
  let h = 1779033703 ^ text.length;
  for (let i = 0; i < text.length; i++) {
    h = Math.imul(h ^ text.charCodeAt(i), 3432918353);
    h = (h << 13) | (h >>> 19);
  }
  return () => {
    h = Math.imul(h ^ (h >>> 16), 2246822507);
    h = Math.imul(h ^ (h >>> 13), 3266489909);
    h ^= h >>> 16;
    return h >>> 0;
  };
}
