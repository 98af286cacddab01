import { expect, test, vi } from 'vitest';
import { ERROR_CODES, type ErrorCode, PlimsollError } from '#shared/api/errors.ts';
import { logFailure } from './log.ts';

const WARNINGS: readonly ErrorCode[] = ['overloaded'];
const WITH_STACK: readonly ErrorCode[] = ['internal_error'];

function logged(error: PlimsollError): unknown {
  const write = vi.spyOn(console, 'error').mockReturnValue();
  logFailure('request-failed', error, { request: 'req_1' });
  const lines = write.mock.calls.map(([line]) => JSON.parse(line as string) as unknown);
  write.mockRestore();
  expect(lines).toHaveLength(1);
  return lines[0];
}

test.each(Object.keys(ERROR_CODES) as ErrorCode[])(
  '%s is logged at its level, with stack traces only if our code is at fault',
  (code) => {
    const cause = new Error('no answer', { cause: new Error('connection refused') });
    const error = new PlimsollError(code, 'It failed.', { cause, detail: { members: 2 } });
    const level = WARNINGS.includes(code) ? 'warn' : 'error';
    const head = {
      level,
      event: 'request-failed',
      request: 'req_1',
      code,
      message: 'It failed.',
      detail: { members: 2 },
    };
    const described = { name: 'Error', stack: expect.stringContaining('log.test.ts') };
    expect(logged(error)).toEqual(
      WITH_STACK.includes(code)
        ? {
            ...head,
            stack: error.stack,
            cause: {
              ...described,
              message: 'no answer',
              cause: { ...described, message: 'connection refused' },
            },
          }
        : { ...head, because: 'no answer: connection refused' },
    );
  },
);

test('an error without a cause has no reasons in the log', () => {
  expect(logged(new PlimsollError('overloaded', 'It failed.'))).not.toHaveProperty('because');
});
