/**
 * Decides who may wait. When the room is full, tenants that already have their share of it are
 * turned away first. So one tenant alone may fill it, and a second one still finds room.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import { Pace } from './pace.ts';

export type RoomOptions = {
  /** @returns seconds */
  now?: () => number;
  /** @returns a number in [0, 1) */
  random?: () => number;
};

export class WaitingRoom {
  readonly #limit: number;
  readonly #random: () => number;
  readonly #pace: Pace;
  /** How many requests wait for each tenant. Tenants with none are left out. */
  readonly #tenants = new Map<string, number>();
  #size = 0;

  constructor(limit: number, { now = () => performance.now() / 1000, random = Math.random }: RoomOptions = {}) {
    this.#limit = limit;
    this.#random = random;
    this.#pace = new Pace(now);
  }

  get size(): number {
    return this.#size;
  }

  /** Lets a request wait, or throws `overloaded` with a time to retry. */
  enter(tenant: string): void {
    const own = this.#tenants.get(tenant) ?? 0;
    const sharers = this.#tenants.size + (own === 0 ? 1 : 0);
    const share = Math.max(1, Math.floor(this.#limit / sharers));
    // A request that already waits is never sent away, so the room may exceed its limit for a
    // while.
    if (this.#size >= this.#limit && (own >= share || this.#size >= MOST_LIMITS * this.#limit)) {
      const message = `The backend is busy: ${this.#size} requests are waiting. Try again later.`;
      throw new PlimsollError('overloaded', message, { retryAfterSeconds: this.#retryAfter() });
    }
    this.#tenants.set(tenant, own + 1);
    this.#size++;
    this.#pace.begin();
  }

  /** Call this when a request leaves: it got its place, or its client is gone. */
  leave(tenant: string, { placed }: { placed: boolean }): void {
    const own = this.#tenants.get(tenant) ?? 0;
    if (own > 1) this.#tenants.set(tenant, own - 1);
    else this.#tenants.delete(tenant);
    this.#size--;
    if (placed) this.#pace.step();
    if (this.#size === 0) this.#pace.rest();
  }

  /**
   * When the requests that wait now should be gone. It varies, so that not everyone retries at
   * once.
   */
  #retryAfter(): number {
    const seconds = Math.min(Math.max(this.#pace.secondsEach * this.#size, 1), LONGEST_S / (1 + SPREAD));
    return Math.round(seconds * (1 + SPREAD * this.#random()));
  }
}

const MOST_LIMITS = 2;
const LONGEST_S = 60;
/** The last client retries after half as long again as the first. */
const SPREAD = 0.5;
