import { expect, test } from 'vitest';
import { PlimsollError } from '#shared/api/errors.ts';
import type { ExpertRow } from '#shared/protocol/expert-messages.ts';
import { ExpertRows } from './expert-rows.ts';
import type { ExpertSession } from './expert-socket.ts';

/** A session whose row comes never, and breaks off when the session is closed. */
function silentSession(): ExpertSession & { closed: boolean } {
  const pending = Promise.withResolvers<ExpertRow>();
  const session = {
    closed: false,
    member: { url: 'https://backend.example' },
    start: { backend: 'one', bundle: 'b' },
    directive: 'd',
    row: () => pending.promise,
    close() {
      session.closed = true;
      pending.reject(new PlimsollError('backend_unavailable', 'the request is over'));
    },
  };
  // Rows look at nothing else of a session here.
  return session as unknown as ExpertSession & { closed: boolean };
}

test('rows that are closed while one is awaited ask no other backend', async () => {
  const sessions: ReturnType<typeof silentSession>[] = [];
  const rows = await ExpertRows.open(async () => {
    sessions.push(silentSession());
    return sessions.at(-1)!;
  }, []);
  const row = rows.row();
  rows.close();
  await expect(row).rejects.toThrow('the request is over');
  expect(sessions.map(({ closed }) => closed)).toEqual([true]);
});
