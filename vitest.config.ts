import { defineConfig } from 'vitest/config';

/**
 * Limits are for what hangs. No test measures time, and a machine whose cores others use too may
 * take long over one.
 */
const HANG_MS = 600_000;

export default defineConfig({
  test: {
    // As gpu-backend/graph/no-telemetry.ts does it: a test may start the engine's thread itself.
    env: { ORT_DISABLE_TELEMETRY: '1' },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{shared,policies,workers,gpu-backend,training,lab,cli,scripts,bench}/**/*.test.ts'],
          testTimeout: HANG_MS,
          hookTimeout: HANG_MS,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/**/*.test.ts'],
          // One running system at a time, and only once the unit tests have left the cores free.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
          testTimeout: HANG_MS,
          hookTimeout: HANG_MS,
        },
      },
    ],
  },
});
