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
    expect(logged(new PlimsollError(code, 'It failed.', { cause }))).toEqual([
      WITH_CAUSE.includes(code) ? [line, cause] : [line],
    ]);
    expect(logged(new PlimsollError(code, 'It failed.'))).toEqual([[line]]);
  },
);
