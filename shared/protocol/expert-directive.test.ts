import { expect, test } from 'vitest';
import { OPEN_LINE } from '#shared/line/line.ts';
import { type Directive, directiveKey, signDirective, verifyDirective } from './directive.ts';
import { type ExpertDirective, expertKey, signExpertDirective, verifyExpertDirective } from './expert-directive.ts';
import { sha256Hex } from './sha256.ts';

const KEY = directiveKey('a secret of at least 32 bytes, for tests');
const OTHER = directiveKey('another secret of 32 bytes, for tests');
const NOW = new Date('2026-11-29T12:00:00Z');
const later = (seconds: number) => new Date(NOW.getTime() + 1000 * seconds);

async function directive(): Promise<ExpertDirective> {
  return {
    id: crypto.randomUUID(),
    request: 'req_1',
    tenant: 'acme',
    key: 'main',
    policy: 'p',
    classifier: 'c',
    digest: await sha256Hex('{}'),
    line: { ...OPEN_LINE, mode: 'edge' },
    second_look: null,
    expert: 'safety',
    top_k: 64,
    ahead: 0,
  };
}

test('a directive for an expert is read under any of the keys, for thirty seconds', async () => {
  const said = await directive();
  const token = await signExpertDirective(said, await expertKey(KEY), NOW);
  const keys = [await expertKey(OTHER), await expertKey(KEY)];
  expect(await verifyExpertDirective(token, keys, later(29))).toEqual(said);
  await expect(verifyExpertDirective(token, keys, later(31))).rejects.toMatchObject({ code: 'directive_expired' });
  const refused = { code: 'directive_invalid' };
  await expect(verifyExpertDirective(token, [await expertKey(OTHER)], NOW)).rejects.toMatchObject(refused);
  await expect(verifyExpertDirective(undefined, keys, NOW)).rejects.toMatchObject(refused);
  await expect(verifyExpertDirective(`${token}x`, keys, NOW)).rejects.toMatchObject(refused);
});

test('it passes for no directive that lets a backend answer, and none of those for it', async () => {
  const { expert: _, top_k: __, ahead: ___, ...rest } = await directive();
  const answers: Directive = { ...rest, resume: null };
  const body = new TextEncoder().encode('{}');
  for (const key of [KEY, await expertKey(KEY)]) {
    const token = await signDirective(answers, key, NOW);
    await expect(verifyExpertDirective(token, [await expertKey(KEY)], NOW)).rejects.toThrow('not valid');
    const own = await signExpertDirective(await directive(), key, NOW);
    await expect(verifyDirective(own, body, KEY, NOW)).rejects.toThrow('not valid');
  }
});
