/**
 * Sessions that were signed out of. A session needs no store, so a copy of its cookie would outlive
 * the sign-out. Their ids are kept until they would have ended anyway: here at once, and in KV for
 * the other isolates, which see them within a minute.
 */
import { LRUCache } from 'lru-cache';
import { PlimsollError } from '#shared/api/errors.ts';
import type { Env } from './env.ts';
import { LONGEST_SESSION_MS, type Session } from './session-token.ts';

const MAX_ENDED = 10_000;
const endedHere = new LRUCache<string, true>({ max: MAX_ENDED });

export async function endSession({ id }: Session, env: Env): Promise<void> {
  endedHere.set(id, true);
  try {
    await env.TENANT_SNAPSHOTS.put(nameOf(id), 'true', { expirationTtl: LONGEST_SESSION_MS / 1000 });
  } catch (cause) {
    throw new PlimsollError(
      'backend_unavailable',
      'This browser is signed out, but the store of sessions cannot be reached: copies of its cookie may live on.',
      { cause },
    );
  }
}

export async function isEnded({ id }: Session, env: Env): Promise<boolean> {
  if (endedHere.has(id)) return true;
  try {
    return (await env.TENANT_SNAPSHOTS.get(nameOf(id), 'json')) !== null;
  } catch (cause) {
    // Nobody knows, so nobody is let in.
    throw new PlimsollError('backend_unavailable', 'The store of sessions cannot be reached.', { cause });
  }
}

const nameOf = (id: string) => `session-ended:${id}`;
