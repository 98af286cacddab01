/** How an answer differs from the one that it should be, token by token. */
export type Differences = { lost: number; doubled: number; wrong: number };

/**
 * Walks along both. A token that repeats the one before counts as doubled, one that is the next
 * but one as a loss, and any other as wrong. What is left over at the end is lost or doubled.
 */
export function compareTokens(ids: readonly number[], wanted: readonly number[]): Differences {
  const found: Differences = { lost: 0, doubled: 0, wrong: 0 };
  let [i, j] = [0, 0];
  while (i < ids.length && j < wanted.length) {
    if (ids[i] === wanted[j]) j++;
    else if (j > 0 && ids[i] === wanted[j - 1]) found.doubled++;
    else if (ids[i] === wanted[j + 1]) {
      found.lost++;
      j += 2;
    } else {
      found.wrong++;
      j++;
    }
    i++;
  }
  found.doubled += ids.length - i;
  found.lost += wanted.length - j;
  return found;
}
