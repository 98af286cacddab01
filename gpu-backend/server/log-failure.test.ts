import { expect, test } from 'vitest';
import { ERROR_CODES, type ErrorCode, PlimsollError } from '#shared/api/errors.ts';
import { logFailure } from './log-failure.ts';

/** The codes whose cause is logged. All the others get a line and no more. */
const WITH_CAUSE: readonly ErrorCode[] = ['internal_error', 'expert_failed'];

const cause = new Error('the device is gone');
function logged(error: PlimsollError): unknown[][] {
  const calls: unknown[][] = [];
  logFailure((...args) => calls.push(args), 'request req_1', error);
  return calls;
}

test.each(Object.keys(ERROR_CODES) as ErrorCode[])(
  '%s gets one line, and its cause only if we are at fault',
  (code) => {
    const line = `request req_1: ${code}: It failed.`;
    const fields = { event: 'request-failed', level: expect.stringMatching(/^(info|warn|error)$/), code };
    expect(logged(new PlimsollError(code, 'It failed.', { cause }))).toEqual([
      [line, WITH_CAUSE.includes(code) ? cause : undefined, fields],
    ]);
    expect(logged(new PlimsollError(code, 'It failed.'))).toEqual([[line, undefined, fields]]);
  },
);
