import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { ExpertKinds } from '#shared/protocol/expert-kind.ts';
import { expertKinds } from './expert-kinds.ts';
import { tinyBundle } from './fixtures/tiny-bundle.ts';
import { BUNDLE_FORMAT, type Manifest } from './manifest.ts';

test.each([
  [{}, undefined, { kind: 'adapter' }],
  [{ adapter: true, prompt: true }, 'Be careful. é', { kind: 'adapter+prompt' }],
  [{ adapter: false, prompt: true }, 'Be careful. é', { kind: 'prompt' }],
  [{ adapter: false }, undefined, { kind: 'base' }],
])('an expert with %j in the manifest and the prompt %j is %j', (entry, prompt, kind) => {
  const manifest: Manifest = {
    ...tinyBundle().manifest,
    format: BUNDLE_FORMAT,
    router: null,
    experts: [
      { name: 'h', role: 'helpfulness' },
      { name: 's', role: 'safety', ...entry },
    ],
  };
  const kinds = expertKinds({ manifest, prompts: prompt === undefined ? {} : { safety: prompt } });
  const digest = prompt && createHash('sha256').update(Buffer.from(prompt, 'utf8')).digest('hex');
  expect(kinds).toEqual({ safety: { ...kind, ...(digest && { prompt: digest }) }, helpfulness: { kind: 'adapter' } });
  expect(ExpertKinds.parse(kinds)).toEqual(kinds);
});
