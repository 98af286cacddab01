/**
 * How many drafted tokens a batch reads ahead. The rows of a run are padded to the longest, so one
 * answer's draft costs every row, and the length is chosen for all answers together: the one that
 * draws the most tokens in the time that its run takes.
 */

/** A draft of one answer, and the chance of each token to be right if those before it are. */
export type Candidate = { length: number; chance: number };

export type Batch = {
  /** Over all answers. */
  rows: number;
  /** Answers without a draft. */
  others: number;
  /** How many times as long a run takes if it computes `tokens` tokens instead of `than`. */
  costRatio: (tokens: number, than: number) => number;
};

/** @returns 0 if no draft is worth its time */
export function chooseDraftLength(candidates: readonly Candidate[], { rows, others, costRatio }: Batch): number {
  const longest = Math.max(0, ...candidates.map(({ length }) => length));
  const answers = candidates.length + others;
  let best = 0;
  let most = LEAST_GAIN;
  for (let length = 1; length <= longest; length++) {
    const drawn = others + candidates.reduce((sum, candidate) => sum + expectedTokens(candidate, length), 0);
    const gain = drawn / answers / costRatio(rows * (length + 1), rows);
    if (gain > most) [best, most] = [length, gain];
  }
  return best;
}

/** The token that is always drawn, and each drafted one that comes after right ones only. */
function expectedTokens({ length, chance }: Candidate, most: number): number {
  let sum = 0;
  for (let i = 0; i <= Math.min(length, most); i++) sum += chance ** i;
  return sum;
}

/** Below this, what is won is lost in the noise of the measured times. */
const LEAST_GAIN = 1.05;
