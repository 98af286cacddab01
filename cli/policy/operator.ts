/** The operator's policy, which stands above every tenant's. */
import { fileURLToPath } from 'node:url';
import { Option } from 'commander';
import { readSoundPolicy, type SoundFile } from './policy-files.ts';

const SHIPPED = fileURLToPath(new URL('../../policies/presets/operator.json', import.meta.url));

export const operatorOption = () =>
  new Option('--operator <file>', "the operator's policy above them").default(
    SHIPPED,
    'policies/presets/operator.json',
  );

export const readOperator = (file: string): Promise<SoundFile> => readSoundPolicy(file, 'operator');
