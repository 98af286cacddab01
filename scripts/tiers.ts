/**
 * The tiers of tests: which files are in each, and how it runs. Each tier runs once the one before
 * has left the cores free. CONTRIBUTING.md says which tier a test belongs to.
 */
import { LAYERS } from './house/layers.ts';

/** `test/` has tiers of its own. */
const FOLDERS = `{${Object.keys(LAYERS)
  .filter((top) => top !== 'test')
  .join(',')}}`;

type Tier = { include: readonly string[]; exclude?: readonly string[]; alone?: boolean; isolate?: boolean };

export const TIERS: Readonly<Record<string, Tier>> = {
  // Loading every module anew for each file would take nearly half of the time.
  unit: { include: [`${FOLDERS}/**/*.test.ts`], exclude: ['**/*.integration.test.ts'], isolate: false },
  integration: { include: [`${FOLDERS}/**/*.integration.test.ts`] },
  // Each of these starts the whole stack or a training run of its own: one at a time.
  e2e: { include: ['test/*.test.ts'], alone: true },
  heavy: { include: ['test/heavy/*.test.ts'], alone: true },
};
