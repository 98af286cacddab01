/** What may come next in one answer, beyond what its experts think of it. */
export interface TokenMask {
  /**
   * The tokens that may come next, as the gate takes them: bit `id % 32` of word `id / 32`. A token
   * beyond the last word may not come. null: any token may. The array is read before the next
   * `accept` and not kept.
   */
  allowed(): Uint32Array | null;
  /** The answer goes on with this token. */
  accept(id: number): void;
}
