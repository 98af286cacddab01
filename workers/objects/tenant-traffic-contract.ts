/**
 * A sample of a tenant's prompts as the rest of the Worker sees it. This file uses no platform
 * type, so code that only calls the object also type-checks under Node.
 */

/** How many prompts of a tenant are kept. A newer one takes the place of the oldest. */
export const MOST_KEPT = 500;
/**
 * A prompt whose messages are longer, as JSON, is not kept: half of it would be another prompt. So
 * a tenant's sample has at most 16 million characters.
 */
export const MOST_KEPT_CHARACTERS = 32_768;

/** A prompt as it is kept: what was said, and when. Nothing says who said it. */
export type KeptRow = {
  seq: number;
  /** Unix milliseconds. */
  kept_at: number;
  /** JSON: the messages of the request. */
  messages: string;
};

export interface TenantTrafficContract {
  /**
   * Keeps a prompt for so many days, or for as long as the tenant's own policy says, if that is
   * less. Returns whether it did: not for a tenant that is gone or suspended or whose policy does
   * not allow it, and not a prompt that is too long.
   */
  keep(tenant: string, prompt: { messages: string; days: number }): Promise<boolean>;
  /**
   * Erases what is older than `days` (null: only what has come to its end), and returns how many
   * are left.
   */
  count(days: number | null): Promise<number>;
  /** The latest before `before`, newest first, none older than `days`. */
  page(options: { days: number; before: number | null; limit: number }): Promise<KeptRow[]>;
  /** Erases all, also what is on its way. Erasing twice changes nothing. */
  erase(): Promise<void>;
}

export type TenantTrafficBinding = { TENANT_TRAFFIC?: { getByName(name: string): TenantTrafficContract } };

/** The sample of one tenant; null if the deployment keeps none. */
export function tenantTraffic(
  { TENANT_TRAFFIC: namespace }: TenantTrafficBinding,
  tenant: string,
): TenantTrafficContract | null {
  if (namespace === undefined) return null;
  // Once its object has crashed, a stub fails for ever. So each call takes a new one.
  const traffic = () => namespace.getByName(tenant);
  return {
    keep: (id, prompt) => traffic().keep(id, prompt),
    count: (days) => traffic().count(days),
    page: (options) => traffic().page(options),
    erase: () => traffic().erase(),
  };
}
