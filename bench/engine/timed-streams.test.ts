import { expect, test } from 'vitest';
import { TimedStreams } from './timed-streams.ts';

test('streams have had enough when each got its tokens with all of them under way', () => {
  const streams = new TimedStreams(2, { tokens: 2 });
  for (let i = 0; i < 5; i++) streams.token(0);
  streams.token(1);
  streams.token(0);
  streams.token(0);
  streams.token(1);
  expect(streams.enough.aborted).toBe(false);
  streams.token(1);
  expect(streams.enough.aborted).toBe(true);
  expect(streams.times.map(({ length }) => length)).toEqual([7, 3]);
});

test('a stream may throw once it was stopped, and not before', () => {
  const streams = new TimedStreams(1, { tokens: 1 });
  expect(() => streams.ended(new Error('broken'))).toThrow('broken');
  streams.token(0);
  streams.token(0);
  expect(() => streams.ended(new Error('stopped'))).not.toThrow();
});
