/** `Support` over two whole rows of masses, block by block. */
import { type Arrays, BLOCK, type Kernel } from './kernel.ts';
import { type Drawn, massBy, type Recipe, type Split, type Support } from './support.ts';

/**
 * How far `a` may rise after a rise by this share. Newton's method all but squares its error, with
 * a factor of 0.5 to 3 on rows of language models. The guess decides only how much work is left.
 */
const nextRise = (rise: number) => 4 * rise ** 2;
/** If it may rise further than this, most blocks change, and it costs more to know which. */
const MOST_RISE = 1 / 64;

export class DenseSupport implements Support {
  /** A mass too small for a double is still support, and here it is 0. */
  readonly cut = false;
  readonly #kernel: Kernel;
  readonly #arrays: Arrays;
  readonly #blocks: number;
  /** The last split, and the `a` up to which the kernel noted which blocks change. */
  #a = NaN;
  #b = NaN;
  #until = NaN;

  /** @param blocks of the vocabulary, which may be fewer than the arrays hold */
  constructor(kernel: Kernel, { arrays, blocks }: { arrays: Arrays; blocks: number }) {
    this.#kernel = kernel;
    this.#arrays = arrays;
    this.#blocks = blocks;
  }

  /**
   * A block in which no token meets its cap between the last `a` and this one keeps its sums. So
   * the last steps of the search for lambda look at few blocks, and the sums are those of a split
   * of all blocks, to the last bit.
   */
  split(a: number, b: number): Split {
    const { mixture, reference, free, capped, over, moving } = this.#arrays;
    const rows = [mixture.masses.at, reference.masses.at, free.at, capped.at, over.at] as const;
    const blocks = this.#blocks;
    const { run } = this.#kernel;
    const follows = b === this.#b && a >= this.#a;
    const some = follows && a <= this.#until;
    const rise = follows ? nextRise(a / this.#a - 1) : Infinity;
    if (!some) this.#until = rise <= MOST_RISE ? a * (1 + rise) : NaN;
    this.#a = a;
    this.#b = b;
    const count = Number.isNaN(this.#until)
      ? run.split(...rows, blocks, a, b)
      : run.splitAgain(...rows, moving.at, blocks, a, b, this.#until, !some);
    return { free: sumOf(free.array, blocks), capped: sumOf(capped.array, blocks), count };
  }

  outside(): number {
    return 0;
  }

  draw(recipe: Recipe, u: number): Drawn {
    const { mixture, reference } = this.#arrays;
    const [m, r] = [mixture.masses.array, reference.masses.array];
    let passed = 0;
    let last = -1;
    for (let block = 0; block < this.#blocks; block++) {
      const mass = this.#blockMass(recipe, block);
      if (mass > 0) last = block;
      if (!(passed + mass > u)) {
        passed += mass;
        continue;
      }
      let within = -1;
      for (let i = block * BLOCK; i < (block + 1) * BLOCK; i++) {
        const one = massBy(recipe, m[i] ?? NaN, r[i] ?? NaN);
        if (one > 0) within = i;
        passed += one;
        if (passed > u) break;
      }
      // If the block's own sum reached u, but adding up its tokens in another order does not, its
      // last token takes the difference.
      return { token: within, last: within, passed };
    }
    return { token: -1, last: last < 0 ? -1 : this.#lastIn(last, recipe), passed };
  }

  #blockMass(recipe: Recipe, block: number): number {
    const { mixture, reference, free, capped } = this.#arrays;
    if (recipe.kind === 'mixture') return recipe.a * (mixture.sums.array[block] ?? NaN);
    if (recipe.kind === 'reference') return recipe.b * (reference.sums.array[block] ?? NaN);
    return recipe.a * (free.array[block] ?? NaN) + recipe.b * (capped.array[block] ?? NaN);
  }

  #lastIn(block: number, recipe: Recipe): number {
    const { mixture, reference } = this.#arrays;
    for (let i = (block + 1) * BLOCK - 1; i >= block * BLOCK; i--) {
      if (massBy(recipe, mixture.masses.array[i] ?? NaN, reference.masses.array[i] ?? NaN) > 0) return i;
    }
    return -1;
  }
}

/** The sum of the first `count` numbers, in their order. */
export function sumOf(numbers: Float64Array, count: number): number {
  let total = 0;
  for (let i = 0; i < count; i++) total += numbers[i] ?? NaN;
  return total;
}
