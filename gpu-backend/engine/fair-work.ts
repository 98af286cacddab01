/**
 * Keeps account of the work done for each tenant in the batch, so that the one that had least is
 * served next. Work is counted in tokens fed to rows: a prompt's, and an answer's as it grows.
 *
 * This is deficit round robin with the smallest quantum: work that can be cut anywhere needs no
 * credit to save up for it. What it promises: of two tenants that both have prompts to read, the
 * one ahead gets no turn. So a run of at most c tokens never brings it more than c further ahead.
 *
 * A tenant that was away gets no credit for that: it starts where the one of those present is that
 * had least. Nor is its debt forgiven if it leaves for a moment.
 */
export class FairWork {
  /** Tokens, by tenant. Only differences matter. */
  readonly #done = new Map<string, number>();
  #present: ReadonlySet<string> = new Set();
  /** The least of those present. It never falls. */
  #clock = 0;

  /** Says who is present now: the tenants of all requests in the batch. */
  present(tenants: Iterable<string>): void {
    if (this.#present.size > 0) this.#clock = Math.min(...[...this.#present].map((tenant) => this.of(tenant)));
    this.#present = new Set(tenants);
    for (const tenant of this.#present) this.#done.set(tenant, Math.max(this.#clock, this.of(tenant)));
    for (const [tenant, done] of this.#done) {
      if (done <= this.#clock && !this.#present.has(tenant)) this.#done.delete(tenant);
    }
  }

  /** The work done for a tenant. */
  of(tenant: string): number {
    return this.#done.get(tenant) ?? 0;
  }

  add(tenant: string, tokens: number): void {
    this.#done.set(tenant, this.of(tenant) + tokens);
  }
}
