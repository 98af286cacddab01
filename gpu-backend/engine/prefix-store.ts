/**
 * Kept prefixes: what a driver has to copy so that a sequence need not read a known beginning
 * again. The store does not know what is in a payload; it knows whose it is, and what to forget.
 *
 * Prefixes are cut into blocks, as in vLLM's prefix cache (Kwon et al., arXiv 2309.06180), and
 * blocks that follow each other form a tree. A block is found by everything that its keys and
 * values depend on: its source (and a layers sequence's bounds), its own ids, and the blocks before
 * it. Ids are compared themselves, not their hashes, so no collision can give a sequence another
 * one's text. The tenant is a part of the key too, unless all of the block's tokens are public.
 * A public block is kept without sums: whether it has some would tell a tenant what another asked.
 *
 * The bottom layers may be equal for all sources. That part of a payload is kept once for the
 * blocks of several sources with the same ids, and goes with the last of them.
 *
 * Memory is bounded: blocks that were not used for longest go first, and a block never goes before
 * those that follow it.
 */
import type { Prefix, PrefixStats, Source } from './experts.ts';
import type { BlockSums } from './span-sums.ts';

/**
 * Tokens in a block. A prefix is known up to its last whole block, so each row reads up to this
 * many tokens again. A run of 16 tokens costs little more than a run of one. Smaller blocks would
 * only mean more of them to look up and to copy.
 */
export const BLOCK_TOKENS = 16;

/** What a block takes beside its payload, roughly: its key and its places in the tables. */
const BLOCK_OVERHEAD = 512;

type Payload = { readonly byteLength: number };

/**
 * A block's payload. `shared` is the same object for all sources that have read these tokens.
 * `sums` are those of the sequence that was kept last, if it had any to compute.
 */
export type Block<T> = { readonly shared: T | null; readonly own: T; readonly sums: BlockSums | null };

const NO_SUMS: BlockSums = new Map();

const bytesOf = (sums: BlockSums | null) =>
  sums === null ? 0 : [...sums.values()].reduce((bytes, { byteLength }) => bytes + byteLength, 0);

/**
 * Copies the payload of the block that begins at this token, or gives null if the block must not be
 * kept. `shared` is null if nothing is. `sums` gives those of a block by its number, or null if
 * the ones it has may stay.
 */
export type CopyBlock<T> = {
  shared: ((from: number) => T | null) | null;
  own: (from: number) => T | null;
  sums?: (block: number, known: BlockSums | null) => BlockSums | null;
};

/** A place in the tree. Which blocks there are for it depends on who has read it. */
type Node<T> = {
  parent: Node<T> | null;
  key: string;
  children: Map<string, Node<T>>;
  /** By reader: a source, and its bounds if it has any. */
  blocks: Map<string, Kept<T>>;
  shared: T | null;
};

type Kept<T> = Omit<Block<T>, 'sums'> & { sums: BlockSums | null; node: Node<T>; reader: string };

export type StoreOptions = {
  /** The most bytes of all blocks together. */
  mostBytes: number;
  /**
   * Whether tokens of an answer are read with other arithmetic than those of a prompt. Then no
   * block with such tokens is kept or found: only the very same answer could use it, if it were
   * resumed.
   */
  answersApart: boolean;
};

export class PrefixStore<T extends Payload> {
  readonly #options: StoreOptions;
  readonly #root: Node<T> = newNode<T>(null, '', null);
  /** Those not used for longest first. A block comes before the one that it follows. */
  readonly #order = new Set<Kept<T>>();
  readonly #stats = { queriedTokens: 0, foundTokens: 0, forgottenTokens: 0, bytes: 0 };

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  get stats(): PrefixStats {
    return { ...this.#stats };
  }

  /**
   * The blocks of the longest known beginning of a prefix, in order. They have fewer tokens than
   * the prefix. They stay as they are, even if the store forgets them.
   *
   * @param fits whether the block of this number has the sums that are needed
   */
  find(source: Source, prefix: Prefix, fits: (block: number, sums: BlockSums) => boolean = () => true): Block<T>[] {
    const { length } = prefix.ids;
    const known = this.#walk(readerOf(source, prefix), this.#keys(prefix, Math.max(0, length - 1)));
    const unfit = known.findIndex(({ sums }, block) => !fits(block, sums ?? NO_SUMS));
    const found = unfit < 0 ? known : known.slice(0, unfit);
    this.#touch(found);
    this.#stats.queriedTokens += length;
    this.#stats.foundTokens += found.length * BLOCK_TOKENS;
    return found;
  }

  /** Forgets blocks that `find` gave, for every source, and all that follow them. */
  forget(found: readonly Block<T>[]): void {
    const [first] = found;
    // What has been forgotten may have been kept anew.
    for (const block of this.#order) if (block === first) this.#forgetFrom(block.node);
  }

  #forgetFrom(node: Node<T>): void {
    for (const child of [...node.children.values()]) this.#forgetFrom(child);
    for (const block of [...node.blocks.values()]) {
      this.#remove(block);
      this.#stats.forgottenTokens += BLOCK_TOKENS;
    }
  }

  /**
   * Keeps the whole blocks of a prefix, as many as fit, up to the first that must not be kept.
   * `copy` is asked only for what is new.
   */
  keep(source: Source, prefix: Prefix, copy: CopyBlock<T>): void {
    const reader = readerOf(source, prefix);
    const keys = this.#keys(prefix, prefix.ids.length);
    const chain = this.#walk(reader, keys);
    const sumsOf = (block: number, known: BlockSums | null) =>
      isPublic(block, prefix) ? null : (copy.sums?.(block, known) ?? null);
    // Until the end, none of these may go.
    for (const [i, block] of chain.entries()) {
      this.#order.delete(block);
      this.#renew(block, sumsOf(i, block.sums));
    }
    for (const key of keys.slice(chain.length)) {
      const from = chain.length * BLOCK_TOKENS;
      const own = copy.own(from);
      const node = own && this.#nodeAt(chain.at(-1)?.node ?? this.#root, key, { share: copy.shared, from });
      if (own === null || node === null) break;
      const block = { node, reader, shared: node.shared, own, sums: sumsOf(chain.length, null) };
      this.#add(block);
      this.#makeRoom();
      if (this.#stats.bytes > this.#options.mostBytes) {
        this.#remove(block);
        break;
      }
      chain.push(block);
    }
    this.#touch(chain);
    // Renewed sums may be larger than those before.
    this.#makeRoom();
  }

  #makeRoom(): void {
    for (const oldest of this.#order) {
      if (this.#stats.bytes <= this.#options.mostBytes) break;
      this.#remove(oldest);
      this.#stats.forgottenTokens += BLOCK_TOKENS;
    }
  }

  /** The keys of the whole blocks in a prefix's first `length` tokens. */
  #keys({ ids, scope, promptTokens = ids.length }: Prefix, length: number): string[] {
    const usable = this.#options.answersApart ? Math.min(length, promptTokens) : length;
    return Array.from({ length: Math.floor(usable / BLOCK_TOKENS) }, (_, i) => {
      const [from, to] = [i * BLOCK_TOKENS, (i + 1) * BLOCK_TOKENS];
      return JSON.stringify([isPublic(i, { scope }) ? null : scope.tenant, ids.slice(from, to)]);
    });
  }

  #walk(reader: string, keys: readonly string[]): Kept<T>[] {
    const chain: Kept<T>[] = [];
    let node: Node<T> | undefined = this.#root;
    for (const key of keys) {
      node = node.children.get(key);
      const block = node?.blocks.get(reader);
      if (node === undefined || block === undefined) break;
      chain.push(block);
    }
    return chain;
  }

  /** From the last to the first, so that a block always counts as older than the one before it. */
  #touch(chain: readonly Kept<T>[]): void {
    for (const block of chain.toReversed()) {
      this.#order.delete(block);
      this.#order.add(block);
    }
  }

  /** null if it is new and must not be kept. */
  #nodeAt(
    parent: Node<T>,
    key: string,
    { share, from }: { share: CopyBlock<T>['shared']; from: number },
  ): Node<T> | null {
    const known = parent.children.get(key);
    if (known !== undefined) return known;
    const shared = share === null ? null : share(from);
    if (share !== null && shared === null) return null;
    const node = newNode(parent, key, shared);
    parent.children.set(key, node);
    this.#stats.bytes += node.shared?.byteLength ?? 0;
    return node;
  }

  #add(block: Kept<T>): void {
    block.node.blocks.set(block.reader, block);
    this.#stats.bytes += block.own.byteLength + bytesOf(block.sums) + BLOCK_OVERHEAD;
  }

  /** The next sequence that begins with this block is probably like the one that is kept now. */
  #renew(block: Kept<T>, sums: BlockSums | null): void {
    if (sums === null || sums.size === 0) return;
    this.#stats.bytes += bytesOf(sums) - bytesOf(block.sums);
    block.sums = sums;
  }

  /** Nothing may follow the block any more. */
  #remove(block: Kept<T>): void {
    const { node, reader, own, sums } = block;
    this.#order.delete(block);
    node.blocks.delete(reader);
    this.#stats.bytes -= own.byteLength + bytesOf(sums) + BLOCK_OVERHEAD;
    if (node.blocks.size > 0) return;
    node.parent?.children.delete(node.key);
    this.#stats.bytes -= node.shared?.byteLength ?? 0;
  }
}

function newNode<T>(parent: Node<T> | null, key: string, shared: T | null): Node<T> {
  return { parent, key, children: new Map(), blocks: new Map(), shared };
}

const readerOf = (source: Source, { bounds }: Prefix) =>
  source === 'layers' ? JSON.stringify([source, bounds?.floor, bounds?.ceiling]) : source;

const isPublic = (block: number, { scope }: Pick<Prefix, 'scope'>) => (block + 1) * BLOCK_TOKENS <= scope.publicTokens;
