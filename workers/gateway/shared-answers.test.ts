/** What the front door cannot show: leaders that go without a word. */
import { expect, test } from 'vitest';
import type { Receipt } from '#shared/protocol/receipt.ts';
import type { AnswerEvents } from './read-answer.ts';
import { createSharedAnswers } from './shared-answers.ts';

const HEAD = { model: 'm', systemFingerprint: 'fp_1' };
// Nobody looks into the receipt here.
const END = { receiptToken: 'a.b.c', receipt: {} as Receipt };
const keep = async () => {};

async function* answer(texts: readonly string[]): AnswerEvents {
  for (const text of texts) yield { text, tokens: [] };
  return END;
}
async function readAll(events: AnswerEvents): Promise<string[]> {
  const texts: string[] = [];
  for await (const { text } of events) texts.push(text);
  return texts;
}

test('a leader and its followers read the same pieces to the end, and then nothing is left to follow', async () => {
  const shared = createSharedAnswers();
  const leader = shared.lead('k');
  const follower = shared.follow('k')!;
  expect(shared.follow('other')).toBeNull();
  const over = leader.read(Promise.resolve({ ...HEAD, events: answer(['a', 'b', 'c']) }), keep);
  expect(await follower.begun()).toEqual(HEAD);
  expect(await Promise.all([readAll(leader.own.events()), readAll(follower.events())])).toEqual([
    ['a', 'b', 'c'],
    ['a', 'b', 'c'],
  ]);
  await over;
  expect(shared.follow('k')).toBeNull();
});

test('a whole answer is kept before it can no longer be followed', async () => {
  const shared = createSharedAnswers();
  const leader = shared.lead('k');
  let found: unknown = null;
  await leader.read(Promise.resolve({ ...HEAD, events: answer(['a']) }), async (made) => {
    found = [made, shared.follow('k') !== null];
  });
  expect(found).toEqual([{ head: HEAD, deltas: [{ text: 'a', tokens: [] }], end: END }, true]);
});

test('is abandoned when the last one leaves, and not before', async () => {
  const shared = createSharedAnswers();
  const leader = shared.lead('k');
  const follower = shared.follow('k')!;
  let isAbandoned = false;
  void leader.abandoned.then(() => {
    isAbandoned = true;
  });
  // Leaving twice is leaving once.
  leader.own.leave();
  leader.own.leave();
  await Promise.resolve();
  expect(isAbandoned).toBe(false);
  follower.leave();
  await Promise.resolve();
  expect([isAbandoned, shared.follow('k')]).toEqual([true, null]);
});

test('a follower asks for itself if the leader was stopped by a limit of its own', async () => {
  const shared = createSharedAnswers();
  const leader = shared.lead('k');
  const follower = shared.follow('k')!;
  leader.giveUp();
  await leader.read(Promise.reject(new Error('too costly')), keep);
  expect(await follower.ready()).toBe('gone');
});

test('a follower gets the error of an answer that never begins', async () => {
  const shared = createSharedAnswers();
  const leader = shared.lead('k');
  const follower = shared.follow('k')!;
  await leader.read(Promise.reject(new Error('no backend')), keep);
  await expect(follower.ready()).rejects.toThrow('no backend');
});

test('a follower is not told to wait for ever by a leader that the runtime has ended', async () => {
  let nowMs = 0;
  const shared = createSharedAnswers({ now: () => nowMs });
  shared.lead('k');
  const before = shared.follow('k')!;
  const middle = shared.follow('k')!;
  nowMs = 10_001;
  expect(await before.ready()).toBe('gone');
  await expect(readAll(middle.events())).rejects.toMatchObject({ code: 'backend_unavailable' });
  expect(shared.follow('k')).toBeNull();
});
