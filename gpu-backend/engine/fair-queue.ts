/**
 * A queue that is fair to tenants: deficit round robin. Tenants with items waiting take turns, and
 * each turn grants a quantum to spend. If a tenant cannot afford its next item, it saves its credit
 * for its next turn. So over time all waiting tenants get the same, to within a quantum and the
 * largest item, no matter who has more or larger items. And even the largest item gets its turn.
 *
 * Within a tenant: first come, first served.
 */
export type Claim = {
  tenant: string;
  /** In the same unit as the quantum. */
  cost: number;
};

/** Says which tenants may take an item now. */
export type MayTake = (tenant: string) => boolean;
const anyTenant: MayTake = () => true;

type Share<T> = { tenant: string; credit: number; waiting: { item: T; cost: number }[] };

export class FairQueue<T> {
  readonly #quantum: number;
  /**
   * Tenants with items waiting, in the order of their turns. It is the first one's turn, and it
   * already has its quantum for this turn.
   */
  #ring: Share<T>[] = [];
  /** Cached until an item comes or goes, or the turn passes on. */
  #order: readonly T[] | null = null;

  constructor(quantum: number) {
    this.#quantum = quantum;
  }

  get size(): number {
    return this.#ring.reduce((sum, { waiting }) => sum + waiting.length, 0);
  }

  push(item: T, { tenant, cost }: Claim): void {
    this.#order = null;
    const share = this.#ring.find((other) => other.tenant === tenant);
    if (share) share.waiting.push({ item, cost });
    else {
      const credit = this.#ring.length === 0 ? this.#quantum : 0;
      this.#ring.push({ tenant, credit, waiting: [{ item, cost }] });
    }
  }

  /**
   * The item that `take` would return. Nobody's turn passes: an item that is not taken yet is not
   * paid for, and who comes before it is taken has the chance that its credit gives it.
   */
  peek(mayTake: MayTake = anyTenant): T | undefined {
    return this.#copy().#next(mayTake)?.waiting[0]?.item;
  }

  /**
   * Takes the next item of the tenants that may take one now. The others save the credit of the
   * turns that pass, and catch up.
   */
  take(mayTake: MayTake = anyTenant): T | undefined {
    const share = this.#next(mayTake);
    if (!share) return undefined;
    this.#order = null;
    const { item, cost } = share.waiting.shift()!;
    share.credit -= cost;
    if (share.waiting.length === 0) this.#leave(share);
    return item;
  }

  remove(isOne: (item: T) => boolean): void {
    this.#order = null;
    for (const share of [...this.#ring]) {
      share.waiting = share.waiting.filter(({ item }) => !isOne(item));
      if (share.waiting.length === 0) this.#leave(share);
    }
  }

  /** All items, in the order in which `take` would return them if no more came. */
  order(): readonly T[] {
    if (this.#order === null) {
      const copy = this.#copy();
      for (const share of copy.#ring) share.waiting = [...share.waiting];
      this.#order = Array.from({ length: this.size }, () => copy.take()!);
    }
    return this.#order;
  }

  /** With the same lists of items. */
  #copy(): FairQueue<T> {
    const copy = new FairQueue<T>(this.#quantum);
    copy.#ring = this.#ring.map((share) => ({ ...share }));
    return copy;
  }

  /** Passes the turn on to the first tenant that may take an item and can pay for it. */
  #next(mayTake: MayTake): Share<T> | undefined {
    const ring = this.#ring;
    const able = ring.filter(({ tenant }) => mayTake(tenant));
    if (able.length === 0) return undefined;
    for (;;) {
      const first = ring[0]!;
      if (able.includes(first) && first.credit >= priceOf(first)) return first;
      // Turns in which nobody can pay are granted all at once, because there may be many.
      const turns = Math.min(...able.map((share) => Math.ceil((priceOf(share) - share.credit) / this.#quantum)));
      this.#order = null;
      if (turns > 1) for (const share of ring) share.credit += (turns - 1) * this.#quantum;
      ring.push(ring.shift()!);
      ring[0]!.credit += this.#quantum;
    }
  }

  /**
   * Removes a tenant with its unspent credit: no credit builds up while a tenant has nothing
   * waiting.
   */
  #leave(share: Share<T>): void {
    const hadItsTurn = this.#ring[0] === share;
    this.#ring = this.#ring.filter((other) => other !== share);
    if (hadItsTurn && this.#ring.length > 0) this.#ring[0]!.credit += this.#quantum;
  }
}

const priceOf = <T>({ waiting }: Share<T>) => waiting[0]!.cost;
