/** Shows how far an import is: one bar for each stage, one after the other. */
import type { ImportProgress } from '#gpu-backend/import/import-model.ts';
import { byteProgress } from './byte-progress.ts';

const LABELS = { hash: 'reading the source', write: 'writing the weights' };

export function importProgress() {
  let bar: ReturnType<typeof byteProgress> | undefined;
  let current: ImportProgress['stage'] | undefined;
  return {
    update({ stage, done, total }: ImportProgress): void {
      if (stage !== current) {
        bar?.done();
        bar = stage === 'check' ? undefined : byteProgress(LABELS[stage], total);
        if (stage === 'check') console.error('checking the finished bundle');
        current = stage;
      }
      bar?.onBytes(done);
    },
    stop(): void {
      bar?.done();
      bar = undefined;
    },
  };
}
