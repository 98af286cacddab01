/**
 * Imports a model in a process of its own, for tests that kill it: `node import-program.ts SOURCE
 * OUT`. It prints how many bytes of weights are written, tensor by tensor, and at last the digest.
 */
import { writeSync } from 'node:fs';
import { importModel } from '../import-model.ts';

const [source, out] = process.argv.slice(2);
if (source === undefined || out === undefined) throw new Error('wanted a source and a folder to write');
const print = (line: string) => writeSync(1, `${line}\n`);
const { digest } = await importModel({
  ...{ source, out, id: 'm' },
  experts: { safety: {}, helpfulness: {} },
  onProgress: ({ stage, done }) => void print(`${stage} ${done}`),
});
print(`digest ${digest}`);
