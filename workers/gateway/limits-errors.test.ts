/** What the client reads, where more than one limit is in the way or no request helps. */
import { expect, test } from 'vitest';
import type { Denial } from '../objects/tenant-account-contract.ts';
import { limitExceeded } from './limits-errors.ts';

const denial = { most: 1, used: 1, retryAfterMs: null, tooLarge: false };

test.each<[Partial<Denial> & Pick<Denial, 'limit'>, RegExp]>([
  [{ limit: 'concurrent_streams' }, /answers at once .* Try again when another answer has ended\.$/],
  [{ limit: 'tokens_per_day' }, /Try again when the day of UTC is over and another answer has ended\.$/],
  [{ limit: 'tokens_per_month' }, /Try again when the month of UTC is over and another answer has ended\.$/],
  [{ limit: 'tokens_per_minute', tooLarge: true }, /may need 7\. No wait will help\. Send a shorter prompt/],
  [{ limit: 'concurrent_streams', tooLarge: true }, /No wait will help\. Ask for fewer answers at once\.$/],
  [
    { limit: 'requests_per_minute', most: 0, used: 0, tooLarge: true },
    /in use\. No wait will help\. The policy lets nothing in\.$/,
  ],
])('a refusal says what has to happen: %o', (given, words) => {
  expect(limitExceeded({ ...denial, ...given }, { requested: 7 }).message).toMatch(words);
});
