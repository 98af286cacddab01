/**
 * The stored responses of whoever asks: those of its tenant, if its policy allows any. If they
 * cannot be reached, an answer is given all the same and not stored, but none goes on from them.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { ResponseObject } from '#shared/api/responses-answer.ts';
import { type Conversation, type Found, tenantResponses } from '../objects/tenant-responses-contract.ts';
import type { AppContext, CallerEnv } from '../request/context.ts';
import { logWarning } from '../request/log.ts';
import { retentionOf } from '../request/retention-of.ts';
import { within } from '../request/within.ts';

/** How long the tenant's object may take to answer. */
const STORE_TIMEOUT_MS = 2_000;

export type ResponseStore = {
  /** Why nothing is stored: what the policy lacks, or the deployment. null: responses are. */
  lacks: string | null;
  /** Never throws. Returns whether the response is stored. */
  save(response: ResponseObject, input: readonly object[]): Promise<boolean>;
  read(ids: readonly string[]): Promise<Found>;
  conversation(id: string): Promise<Conversation>;
  remove(id: string): Promise<boolean>;
};

const FORBIDDEN = `the tenant's policy does not allow it ("retention": { "responses": true })`;
const ABSENT = 'this deployment has no TENANT_RESPONSES';

export function responseStore(c: Pick<AppContext<CallerEnv>, 'env' | 'var'>): ResponseStore {
  const { caller, requestId } = c.var;
  const { responses: isAllowed, days } = retentionOf(caller);
  const stored = tenantResponses(c.env, caller.tenant);

  function reach() {
    if (stored === null) throw unreachable(ABSENT);
    return stored;
  }
  return {
    lacks: stored === null ? ABSENT : isAllowed ? null : FORBIDDEN,
    async save(response, input) {
      const texts = { response: JSON.stringify({ ...response, store: true }), input: JSON.stringify(input) };
      const about = { id: response.id, previous: response.previous_response_id, days };
      try {
        return await timely(reach().save(caller.tenant, { ...about, ...texts }));
      } catch (thrown) {
        // Its name alone: a message might quote what it is about.
        const because = thrown instanceof Error ? thrown.name : typeof thrown;
        logWarning({ event: 'response-not-stored', request: requestId, tenant: caller.tenant, because });
        return false;
      }
    },
    read: (ids) => asking(() => reach().read(ids, days)),
    conversation: (id) => asking(() => reach().conversation(id, days)),
    remove: (id) => asking(() => reach().remove(id)),
  };
}

async function asking<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await timely(call());
  } catch (cause) {
    throw unreachable(cause);
  }
}

function timely<T>(promise: Promise<T>): Promise<T> {
  return within(STORE_TIMEOUT_MS, promise, () => {
    throw new Error(`nothing for ${STORE_TIMEOUT_MS} ms`);
  });
}

function unreachable(cause: unknown): PlimsollError {
  return new PlimsollError(
    'backend_unavailable',
    "The tenant's stored responses cannot be reached. Please try again.",
    {
      cause,
    },
  );
}
