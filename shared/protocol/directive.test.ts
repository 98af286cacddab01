import { SignJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import {
  DIRECTIVE_TTL_SECONDS,
  type Directive,
  directiveKey,
  signDirective,
  verifyDirective,
  verifyDirectiveUnderAny,
} from './directive.ts';
import { sha256Hex } from './sha256.ts';

const key = directiveKey('a secret of at least thirty-two bytes');
const body = new TextEncoder().encode('{"model":"m"}');
const now = new Date('2026-01-01T00:00:00Z');
const later = (seconds: number) => new Date(now.getTime() + seconds * 1000);

const directive: Directive = {
  id: '11111111-1111-4111-8111-111111111111',
  request: 'req_1',
  tenant: 'acme',
  key: 'main',
  policy: '0123456789abcdef',
  classifier: 'c6b0e18f590f1942',
  digest: await sha256Hex(body),
  line: {
    action: 'mix',
    mode: 'logits',
    rule: 'geometric',
    floor: 0.9,
    ceiling: 1,
    opening: { tokens: 8, floor: 0.95 },
    budget: 2,
    earned: null,
  },
  second_look: null,
  resume: null,
};
const token = await signDirective(directive, key, now);

test('reads what was signed, as long as it is valid', async () => {
  expect(await verifyDirective(token, body, key, now)).toEqual(directive);
  expect(await verifyDirective(token, body, key, later(DIRECTIVE_TTL_SECONDS - 1))).toEqual(directive);
  const unbounded = { ...directive, line: { ...directive.line, budget: null } };
  expect(await verifyDirective(await signDirective(unbounded, key, now), body, key, now)).toEqual(unbounded);
});

test('of several secrets, the one that signed is found, and one that is not among them is refused', async () => {
  const [next, other] = [directiveKey('n'.repeat(32)), directiveKey('o'.repeat(32))];
  const signed = await signDirective(directive, key);
  expect(await verifyDirectiveUnderAny(signed, body, [next, key])).toEqual({ directive, key });
  expect(await verifyDirectiveUnderAny(signed, body, [key, next])).toEqual({ directive, key });
  await expect(verifyDirectiveUnderAny(signed, body, [next, other])).rejects.toMatchObject({
    code: 'directive_invalid',
  });
  // A right signature under an older secret makes nothing else right.
  await expect(verifyDirectiveUnderAny(token, body, [next, key])).rejects.toMatchObject({ code: 'directive_expired' });
  const another = new TextEncoder().encode('{}');
  await expect(verifyDirectiveUnderAny(signed, another, [next, key])).rejects.toMatchObject({
    code: 'directive_invalid',
  });
});

test('refuses an old directive as expired', async () => {
  const verified = verifyDirective(token, body, key, later(DIRECTIVE_TTL_SECONDS + 1));
  await expect(verified).rejects.toMatchObject({ code: 'directive_expired' });
});

test('refuses another body, even one that differs by a space', async () => {
  const other = new TextEncoder().encode('{"model": "m"}');
  await expect(verifyDirective(token, other, key, now)).rejects.toMatchObject({ code: 'directive_invalid' });
});

/** A token with the same header and signature around other content. */
function tamper(change: (claims: Record<string, unknown>) => void): string {
  const [head, payload, signature] = token.split('.');
  const claims = JSON.parse(Buffer.from(payload ?? '', 'base64url').toString()) as Record<string, unknown>;
  change(claims);
  return [head, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.');
}

/** A token signed with the right key that `signDirective` would not make. */
function signOther(claims: object, header: object = {}): Promise<string> {
  return new SignJWT({ ...claims })
    .setProtectedHeader({ alg: 'HS256', typ: 'plimsoll-directive+jwt', ...header })
    .setIssuer('plimsoll-edge')
    .setAudience('plimsoll-backend')
    .setIssuedAt(now.getTime() / 1000)
    .setExpirationTime(now.getTime() / 1000 + DIRECTIVE_TTL_SECONDS)
    .sign(key);
}

const unsigned = [
  Buffer.from('{"alg":"none","typ":"plimsoll-directive+jwt"}').toString('base64url'),
  token.split('.')[1],
  '',
].join('.');

describe('refuses', () => {
  test.each<[string, () => string | undefined | Promise<string>]>([
    ['no directive at all', () => undefined],
    ['an empty directive', () => ''],
    ['noise', () => 'a.b.c'],
    ['a lowered floor', () => tamper((claims) => Object.assign(claims.line as object, { floor: 0 }))],
    ['a longer life', () => tamper((claims) => Object.assign(claims, { exp: 4e9 }))],
    ['no signature', () => unsigned],
    ['another secret', () => signDirective(directive, directiveKey('another secret of thirty-two bytes!!'), now)],
    ['another type of token', () => signOther(directive, { typ: 'JWT' })],
    ['a missing field', () => signOther({ ...directive, line: undefined })],
    ['an extra field', () => signOther({ ...directive, floor: 0 })],
    ['a missing id', () => signOther({ ...directive, id: undefined })],
    [
      'a category called __proto__',
      () => signOther({ ...directive, second_look: JSON.parse('{"base":0,"rules":{"__proto__":{}}}') }),
    ],
    ['an earned budget without its fields', () => signOther({ ...directive, line: { ...directive.line, earned: {} } })],
    ['a floor out of range', () => signOther({ ...directive, line: { ...directive.line, floor: -1 } })],
    ['the action refuse', () => signOther({ ...directive, line: { ...directive.line, action: 'refuse' } })],
  ])('%s', async (_name, make) => {
    await expect(verifyDirective(await make(), body, key, now)).rejects.toMatchObject({ code: 'directive_invalid' });
  });
  test('a signed directive that has outlived the age limit, whatever expiry it claims', async () => {
    const greedy = await new SignJWT({ ...directive })
      .setProtectedHeader({ alg: 'HS256', typ: 'plimsoll-directive+jwt' })
      .setIssuer('plimsoll-edge')
      .setAudience('plimsoll-backend')
      .setIssuedAt(now.getTime() / 1000)
      .setExpirationTime(now.getTime() / 1000 + 3600)
      .sign(key);
    const verified = verifyDirective(greedy, body, key, later(DIRECTIVE_TTL_SECONDS + 1));
    await expect(verified).rejects.toMatchObject({ code: 'directive_expired' });
  });
});

test('rejects a secret that is too short', () => {
  expect(() => directiveKey('short')).toThrow(/at least 32/);
});
