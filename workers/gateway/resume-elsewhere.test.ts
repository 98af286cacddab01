import { expect, test, vi } from 'vitest';
import { PlimsollError } from '#shared/api/errors.ts';
import { resumeElsewhere } from './resume-elsewhere.ts';

test('a client that leaves takes no backend out of the pool', async () => {
  const left = new AbortController();
  const failed = vi.fn();
  // Nothing else of the request is touched before the client is known to have left.
  const options = {
    signal: left.signal,
    pool: { failed },
    trace: { span: { traceId: 'trace' } },
    directive: {},
  } as unknown as Parameters<typeof resumeElsewhere>[0];
  const goOn = resumeElsewhere(options);
  const reason = new Error('the client has left');
  left.abort(reason);
  const broken = new PlimsollError('backend_unavailable', 'the stream broke off');
  const last = { member: { url: 'https://backend.example' }, start: {} };
  // As above: of the account nothing is read.
  const account = {} as unknown as Parameters<typeof goOn>[0];
  const how = { last, broken } as unknown as Parameters<typeof goOn>[1]; // As above.
  await expect(goOn(account, how)).rejects.toBe(reason);
  expect(failed).not.toHaveBeenCalled();
});
