/**
 * Where a body may be read. For what is read and when, see bad-requests.integration.test.ts of
 * `gateway/`.
 */
import { test } from 'vitest';
import type { CallerEnv, Middleware, OperatorEnv } from './context.ts';
import { onlyOwnHostNames } from './host-names.ts';
import { DEFAULT_BODY_PATIENCE, readBodyAfter } from './read-body.ts';

test('reading a body before we know who asks does not compile', () => {
  // Never called: `npm run check` is the test.
  void ((key: Middleware<CallerEnv>, operator: Middleware<OperatorEnv>) => [
    readBodyAfter(key, DEFAULT_BODY_PATIENCE),
    readBodyAfter(operator, DEFAULT_BODY_PATIENCE),
    // @ts-expect-error this middleware does not find out who asks
    readBodyAfter(onlyOwnHostNames(), DEFAULT_BODY_PATIENCE),
    // @ts-expect-error something has to find out who asks
    readBodyAfter(DEFAULT_BODY_PATIENCE),
  ]);
});
