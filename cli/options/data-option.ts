/**
 * `--data`: the folder with public conversations, pairs and prompts. Only training and the benches
 * read it.
 */
import { Option } from 'commander';
import { defaultFolder, INSTALLED } from './installed.ts';

const DEFAULT_DATA = defaultFolder({ checkout: '../shared/data', release: 'data' });
const WHERE = INSTALLED ? 'data, in the current folder' : '../shared/data, next to the checkout';
const SHOWN = `${WHERE}; docs/training.md says what belongs there`;

export const dataOption = (description: string) => new Option('--data <dir>', description).default(DEFAULT_DATA, SHOWN);
