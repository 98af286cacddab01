/**
 * Where the cap does its sums: over the blocks of two whole rows, or over the few tokens that a cut
 * has left. Both answer the same two questions.
 */
/** Tokens by whether a * m exceeds b * r, with m the mixture's mass and r the reference's. */
export type Split = {
  /** The sum of m where it does not. */
  free: number;
  /** The sum of r where it does. */
  capped: number;
  /** Where it does, how often. */
  count: number;
};

/**
 * How q follows from the masses: a * m, or b * r, or the smaller of the two for tokens that have
 * mass in the mixture and `fill` * r for the others.
 */
export type Recipe =
  | { kind: 'mixture'; a: number }
  | { kind: 'reference'; b: number }
  | { kind: 'capped'; a: number; b: number; fill: number };

export type Support = {
  /** Whether a token without mass is surely outside the support, in both rows. */
  readonly cut: boolean;
  split(a: number, b: number): Split;
  /** The sum of r over tokens without mass in the mixture. */
  outside(): number;
  /**
   * Walks through the tokens in the order of their ids until the sum of q passes u. -1 if it never
   * does. After a split, a capped recipe must be about the tokens of that split.
   */
  draw(recipe: Recipe, u: number): Drawn;
};

/** `last`: the last token with any probability. `passed`: the sum of q to the end of the walk. */
export type Drawn = { token: number; last: number; passed: number };

/** The mass that a recipe gives to one token. */
export function massBy(recipe: Recipe, m: number, r: number): number {
  if (recipe.kind === 'mixture') return recipe.a * m;
  if (recipe.kind === 'reference') return recipe.b * r;
  return m > 0 ? Math.min(recipe.a * m, recipe.b * r) : recipe.fill * r;
}
