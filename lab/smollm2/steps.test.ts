import { expect, test } from 'vitest';
import type { RecipeContext } from './context.ts';
import { SETTINGS, type Settings } from './settings.ts';
import { STEPS, type StepName } from './steps.ts';

/** Those whose inputs hold digests of files. */
const READS_FILES: readonly StepName[] = ['data', 'probes'];

/** The steps, those that read no files, whose inputs these settings change. */
async function changedBy(settings: Settings): Promise<StepName[]> {
  const changed: StepName[] = [];
  for (const { name, inputs } of STEPS.filter(({ name }) => !READS_FILES.includes(name))) {
    const given = async (settings: Settings) =>
      // No other step's inputs read more of the context.
      JSON.stringify(await inputs({ settings, baseDigest: 'x' } as RecipeContext));
    if ((await given(settings)) !== (await given(SETTINGS))) changed.push(name);
  }
  return changed;
}

const { pairs, router, expert } = SETTINGS;

test.each<[string, Settings, StepName[]]>([
  [
    'a test budget, only what asks the heads',
    { ...SETTINGS, pairs: { ...pairs, safer: { ...pairs.safer, test: { world: 1 } } } },
    ['heads', 'card'],
  ],
  [
    'a dev budget, the pairs',
    { ...SETTINGS, pairs: { ...pairs, safer: { ...pairs.safer, dev: { world: 1 } } } },
    ['pairs', 'card'],
  ],
  [
    "a router's lambda, only that router",
    { ...SETTINGS, router: { ...router, lambda: { ...router.lambda, logits: 0.9 } } },
    ['logits', 'card'],
  ],
  ['beta, both experts', { ...SETTINGS, expert: { ...expert, beta: 0.9 } }, ['safety', 'helpfulness', 'card']],
])('a setting decides the steps that read it: %s', async (_, settings, names) => {
  expect(await changedBy(settings)).toEqual(names);
});
