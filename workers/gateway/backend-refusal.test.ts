import { expect, test } from 'vitest';
import { backendRefusal } from './backend-refusal.ts';

test.each([
  ['7', 7],
  ['0.5', 1],
  ['1e99', 3600],
  ['Infinity', 3600],
  // What we say where a backend says nothing.
  ['-1', 1],
  ['Wed, 21 Oct 2065 07:28:00 GMT', 1],
])('a client is told to wait for whole seconds, and not for ever: %s', async (header, seconds) => {
  const error = { message: 'The queue is full.', code: 'overloaded' };
  const answer = Response.json({ error }, { status: 503, headers: { 'retry-after': header } });
  expect(await backendRefusal(answer)).toMatchObject({ code: 'overloaded', retryAfterSeconds: seconds });
});
