import path from 'node:path';
import { defineConfig } from 'vitest/config';
import { TIERS } from './scripts/tiers.ts';

/** Limits are for hangs. No test measures time, and others may use the same cores. */
const HANG_MS = 600_000;
/** The limit of `expect.poll`: short enough that what a test waits for is in its error. */
const POLL_MS = HANG_MS / 2;

/** A cache folder for tests, without models. */
const NO_MODELS = path.join(import.meta.dirname, '.plimsoll/no-models');

export default defineConfig({
  test: {
    // As gpu-backend/graph/no-telemetry.ts does it: a test may start the engine's thread itself.
    // No stack that a test starts may fetch a model, or find one that this user has.
    env: { ORT_DISABLE_TELEMETRY: '1', PLIMSOLL_NO_PULL: '1', PLIMSOLL_CACHE: NO_MODELS },
    // Left to itself, vitest keeps a core for its own process: of two cores, half.
    maxWorkers: '100%',
    projects: Object.entries(TIERS).map(([name, { include, exclude = [], alone = false, isolate = true }], order) => ({
      test: {
        name,
        include: [...include],
        exclude: ['**/node_modules/**', ...exclude],
        fileParallelism: !alone,
        isolate,
        sequence: { groupOrder: order },
        testTimeout: HANG_MS,
        hookTimeout: HANG_MS,
        expect: { poll: { timeout: POLL_MS } },
      },
    })),
  },
});
