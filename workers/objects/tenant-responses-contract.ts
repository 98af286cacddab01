/**
 * A tenant's stored responses as the rest of the Worker sees them. This file uses no platform type,
 * so code that only calls the object also type-checks under Node.
 */

/** How many responses of a tenant are stored. A newer one takes the place of the oldest. */
export const MOST_STORED = 1_000;
/**
 * The most characters of a response and its input together, as JSON. In UTF-8 they are at most
 * three times as many bytes, and a row takes 2 MB.
 */
export const MOST_STORED_CHARACTERS = 600_000;
/** The most characters of all that are stored. The oldest go first. */
export const MOST_CHARACTERS = 64 * 1024 * 1024;
/** The longest conversation that is given out: far more than a model reads. */
const MOST_TURNS = 512;
const MOST_CONVERSATION_CHARACTERS = 4 * 1024 * 1024;
export const CONVERSATION_BOUNDS = { turns: MOST_TURNS, characters: MOST_CONVERSATION_CHARACTERS };

export type StoredResponse = {
  id: string;
  /** JSON: the response as the client got it. */
  response: string;
  /** JSON: the items that it was asked with. */
  input: string;
};

/** Of several responses, those that are there. */
export type Found = { outcome: 'found'; turns: StoredResponse[] } | { outcome: 'too-long' };
/** `missing` names the response that is not there: the one asked for, or one before it. */
export type Conversation = Found | { outcome: 'missing'; id: string };

export interface TenantResponsesContract {
  /**
   * Stores a response for so many days, or for as long as the tenant's own policy says, if that is
   * less. Returns whether it did: not for a tenant that is gone or suspended or whose policy does
   * not allow it, and not a response that is too long.
   *
   * @param response `previous` is the response that it goes on from
   */
  save(tenant: string, response: StoredResponse & { previous: string | null; days: number }): Promise<boolean>;
  /** Those of them that are there, none older than `days`. */
  read(ids: readonly string[], days: number): Promise<Found>;
  /** The response and all before it, the first one first. */
  conversation(id: string, days: number): Promise<Conversation>;
  /** Returns whether there was one. */
  remove(id: string): Promise<boolean>;
  /** Erases all, also what is on its way. Erasing twice changes nothing. */
  erase(): Promise<void>;
}

export type TenantResponsesBinding = { TENANT_RESPONSES?: { getByName(name: string): TenantResponsesContract } };

/** The stored responses of one tenant; null if the deployment stores none. */
export function tenantResponses(
  { TENANT_RESPONSES: namespace }: TenantResponsesBinding,
  tenant: string,
): TenantResponsesContract | null {
  if (namespace === undefined) return null;
  // Once its object has crashed, a stub fails for ever. So each call takes a new one.
  const responses = () => namespace.getByName(tenant);
  return {
    save: (id, response) => responses().save(id, response),
    read: (ids, days) => responses().read(ids, days),
    conversation: (id, days) => responses().conversation(id, days),
    remove: (id) => responses().remove(id),
    erase: () => responses().erase(),
  };
}
