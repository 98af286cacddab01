import { expect, test } from 'vitest';
import { OPEN_LINE } from '#shared/line/line.ts';
import { type Directive, directiveKey, signDirective, verifyDirective } from './directive.ts';
import {
  type ExpertDirective,
  expertKey,
  expertKeysOf,
  helpfulnessKeysOf,
  poolExpertKey,
  ROLES,
  signExpertDirective,
  verifyExpertDirective,
} from './expert-directive.ts';
import { helpfulnessKey } from './pool-secret.ts';
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
  const token = await signExpertDirective(said, await expertKey(KEY, 'safety'), NOW);
  const keys = await expertKeysOf([OTHER, KEY]);
  expect(await verifyExpertDirective(token, keys, later(29))).toEqual(said);
  await expect(verifyExpertDirective(token, keys, later(31))).rejects.toMatchObject({ code: 'directive_expired' });
  const refused = { code: 'directive_invalid' };
  await expect(verifyExpertDirective(token, await expertKeysOf([OTHER]), NOW)).rejects.toMatchObject(refused);
  await expect(verifyExpertDirective(undefined, keys, NOW)).rejects.toMatchObject(refused);
  await expect(verifyExpertDirective(`${token}x`, keys, NOW)).rejects.toMatchObject(refused);
});

test('it passes for no directive that lets a backend answer, and none of those for it', async () => {
  const { expert: _, top_k: __, ahead: ___, ...rest } = await directive();
  const answers: Directive = { ...rest, resume: null };
  const body = new TextEncoder().encode('{}');
  for (const key of [KEY, await expertKey(KEY, 'safety')]) {
    const token = await signDirective(answers, key, NOW);
    await expect(verifyExpertDirective(token, await expertKeysOf([KEY]), NOW)).rejects.toThrow('not valid');
    const own = await signExpertDirective(await directive(), key, NOW);
    await expect(verifyDirective(own, body, KEY, NOW)).rejects.toThrow('not valid');
  }
});

test('the helpfulness pool takes directives for its own expert, and can sign none for others', async () => {
  const helpful: ExpertDirective = { ...(await directive()), expert: 'helpfulness' };
  const poolKey = await helpfulnessKey(KEY);
  const pool = await helpfulnessKeysOf([poolKey]);
  const whole = await expertKeysOf([KEY]);
  const token = await signExpertDirective(helpful, await poolExpertKey(KEY), NOW);
  expect(await verifyExpertDirective(token, pool, NOW)).toEqual(helpful);
  const own = await signExpertDirective(helpful, await expertKey(KEY, 'helpfulness'), NOW);
  expect(await verifyExpertDirective(own, whole, NOW)).toEqual(helpful);
  // Whatever it can derive from what it has.
  const derived = [poolKey, ...pool.helpfulness, ...(await Promise.all(ROLES.map((role) => expertKey(poolKey, role))))];
  const refused = { code: 'directive_invalid' };
  for (const [key, expert] of derived.flatMap((key) => ROLES.map((role) => [key, role] as const))) {
    const forged = await signExpertDirective({ ...(await directive()), expert }, key, NOW);
    await expect(verifyExpertDirective(forged, whole, NOW), expert).rejects.toMatchObject(refused);
  }
  const safety = await signExpertDirective(await directive(), await expertKey(KEY, 'safety'), NOW);
  for (const others of [safety, own]) {
    await expect(verifyExpertDirective(others, pool, NOW)).rejects.toMatchObject(refused);
  }
});
