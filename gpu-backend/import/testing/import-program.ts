/**
 * Imports a model in a process of its own, for tests that kill it: `node import-program.ts SOURCE
 * OUT`. It prints how many bytes of weights are written, tensor by tensor, and at last the digest.
 */
import { writeSync } from 'node:fs';
import { importModel } from '../import-model.ts';

const [source, out] = process.argv.slice(2);
if (source === undefined || out === undefined) throw new Error('wanted a source and a folder to write');

/** At once, so that a kill cannot overtake a line. A full pipe is tried again. */
function print(line: string): void {
  try {
    writeSync(1, `${line}\n`);
  } catch (error) {
    // Node throws errors with codes.
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    print(line);
  }
}

const { digest } = await importModel({
  ...{ source, out, id: 'm' },
  experts: { safety: {}, helpfulness: {} },
  onProgress: ({ stage, done }) => print(`${stage} ${done}`),
});
print(`digest ${digest}`);
