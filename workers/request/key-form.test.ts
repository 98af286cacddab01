/** Keys that we make, and what only looks like one. */
import { expect, test } from 'vitest';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { isNoKey, makeKey } from './key-form.ts';

test('a key that we made is one, and with another digit it is none', async () => {
  const key = await makeKey();
  expect(await isNoKey(key)).toBe(false);
  for (const at of [3, 40, 66, 68, 75]) {
    const other = key[at] === '0' ? '1' : '0';
    expect(await isNoKey(`${key.slice(0, at)}${other}${key.slice(at + 1)}`), String(at)).toBe(true);
  }
});

test('the checksum is of the digits before it', async () => {
  const secret = 'a'.repeat(64);
  const check = (await sha256Hex(`plimsoll key ${secret}`)).slice(0, 8);
  expect(await isNoKey(`pk-${secret}-${check}`)).toBe(false);
});

test('of what has another form, nothing is known', async () => {
  for (const key of [`pk-${'a'.repeat(64)}`, 'pk-demo-open', 'sk-other', '']) expect(await isNoKey(key)).toBe(false);
});
