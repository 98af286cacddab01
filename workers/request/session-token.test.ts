import { describe, expect, test } from 'vitest';
import { openSession, SESSION_MS, type Session, sealSession } from './session-token.ts';

const SECRETS = { directiveKey: new Uint8Array(32).fill(7), operatorKeySha256: 'a'.repeat(64) };
const NOW = 1_800_000_000_000;
const session: Session = {
  id: 'some-id',
  digest: 'd'.repeat(64),
  tenant: 'acme',
  beganAtMs: NOW,
  untilMs: NOW + SESSION_MS,
};

test('opens to what was sealed, until its end', async () => {
  const token = await sealSession(session, SECRETS);
  expect(await openSession(token, SECRETS, { now: NOW })).toEqual(session);
  expect(await openSession(token, SECRETS, { now: NOW + SESSION_MS - 1 })).toEqual(session);
  expect(await openSession(token, SECRETS, { now: NOW + SESSION_MS })).toBeNull();
});

test('shows nothing of what is in it, and is another one each time', async () => {
  const [first, second] = [await sealSession(session, SECRETS), await sealSession(session, SECRETS)];
  expect(first).not.toBe(second);
  expect(first).toMatch(/^[\w-]+$/);
  expect(Buffer.from(first, 'base64url').toString('latin1')).not.toMatch(/acme|dddd/);
});

describe('is refused', () => {
  test('if one bit of it was changed, wherever', async () => {
    const bytes = Buffer.from(await sealSession(session, SECRETS), 'base64url');
    for (let at = 0; at < bytes.length; at++) {
      const forged = Buffer.from(bytes);
      forged[at]! ^= 1;
      expect(await openSession(forged.toString('base64url'), SECRETS, { now: NOW })).toBeNull();
    }
  });

  test.each(['', 'x', 'not base64url!', 'AAAA'.repeat(20)])('if it is %j', async (token) => {
    expect(await openSession(token, SECRETS, { now: NOW })).toBeNull();
  });

  test('if it was made under another secret, or for another key of the operator', async () => {
    const token = await sealSession(session, SECRETS);
    const others = [
      { ...SECRETS, directiveKey: new Uint8Array(32).fill(8) },
      { ...SECRETS, operatorKeySha256: 'b'.repeat(64) },
    ];
    for (const secrets of others) expect(await openSession(token, secrets, { now: NOW })).toBeNull();
  });
});
