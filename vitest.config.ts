import { defineConfig } from 'vitest/config';
import { LAYERS } from './scripts/house/layers.ts';

/** Limits are for hangs. No test measures time, and others may use the same cores. */
const HANG_MS = 600_000;

/** `test/` has tiers of its own. */
const FOLDERS = `{${Object.keys(LAYERS)
  .filter((top) => top !== 'test')
  .join(',')}}`;

/**
 * Four tiers, each run once the one before has left the cores free. CONTRIBUTING.md says which tier
 * a test belongs to.
 */
const TIERS: Record<string, { include: string[]; exclude?: string[]; alone?: boolean; isolate?: boolean }> = {
  // Loading every module anew for each file would take nearly half of the time.
  unit: { include: [`${FOLDERS}/**/*.test.ts`], exclude: ['**/*.integration.test.ts'], isolate: false },
  integration: { include: [`${FOLDERS}/**/*.integration.test.ts`] },
  // Each of these starts the whole stack or a training run of its own: one at a time.
  e2e: { include: ['test/*.test.ts'], alone: true },
  heavy: { include: ['test/heavy/*.test.ts'], alone: true },
};

export default defineConfig({
  test: {
    // As gpu-backend/graph/no-telemetry.ts does it: a test may start the engine's thread itself.
    env: { ORT_DISABLE_TELEMETRY: '1' },
    // Left to itself, vitest keeps a core for its own process: of two cores, half.
    maxWorkers: '100%',
    projects: Object.entries(TIERS).map(([name, { include, exclude = [], alone = false, isolate = true }], order) => ({
      test: {
        name,
        include,
        exclude: ['**/node_modules/**', ...exclude],
        fileParallelism: !alone,
        isolate,
        sequence: { groupOrder: order },
        testTimeout: HANG_MS,
        hookTimeout: HANG_MS,
      },
    })),
  },
});
