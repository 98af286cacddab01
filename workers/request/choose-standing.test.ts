/** Which requests a canary decides. */
import { expect, test } from 'vitest';
import { LOOSEST } from '#policies/schema.ts';
import { chooseStanding } from './choose-standing.ts';
import type { Caller } from './tenant-directory.ts';

const SECRET = new TextEncoder().encode('a secret of the deployment, 32 bytes');
// The cast: a standing is chosen by these alone.
const caller = {
  ...{ tenant: 'acme', key: 'web', plan: null, scopes: ['inference'], suspended: false, expiresAtMs: null },
  ...{ policy: LOOSEST, version: 'old', canary: { policy: LOOSEST, version: 'new', share: 0.5 } },
} as unknown as Caller;
const prompts = Array.from({ length: 200 }, (_, index) => `Question ${index}?`);
const chosen = (secret: Uint8Array, write = (prompt: string) => prompt) =>
  Promise.all(
    prompts.map(async (prompt) => {
      const messages = [{ role: 'user' as const, content: write(prompt) }];
      return (await chooseStanding(caller, messages, secret)).version === 'new';
    }),
  );

test('a canary gets its share, and nobody without the secret can tell which', async () => {
  const here = await chosen(SECRET);
  expect(here.filter(Boolean).length).toBeGreaterThan(70);
  expect(here.filter(Boolean).length).toBeLessThan(130);
  expect(await chosen(SECRET)).toEqual(here);
  expect(await chosen(new TextEncoder().encode('another secret of another place'))).not.toEqual(here);
});

test('a prompt that is written another way is the same to it', async () => {
  const odd = (prompt: string) => `  ${prompt.toUpperCase().replace(' ', '  \u200b')}\n`;
  expect(await chosen(SECRET, odd)).toEqual(await chosen(SECRET));
});
