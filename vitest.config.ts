import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // As gpu-backend/graph/no-telemetry.ts does it: a test may start the engine's thread itself.
    env: { ORT_DISABLE_TELEMETRY: '1' },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{shared,policies,workers,gpu-backend,training,cli,scripts,bench}/**/*.test.ts'],
          // No test measures time. This is for those that start processes, on a machine whose cores others use too.
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/**/*.test.ts'],
          // One running system at a time, and only once the unit tests have left the cores free.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
          testTimeout: 60_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
