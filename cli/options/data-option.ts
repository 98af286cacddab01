/**
 * `--data`: the folder with public conversations, pairs and prompts. Only training and the benches
 * read it.
 */
import path from 'node:path';
import { Option } from 'commander';

/** The default folder lies next to the checkout. */
const BESIDE_THE_CHECKOUT = path.join(import.meta.dirname, '../../../shared/data');

export const dataOption = (description: string) =>
  new Option('--data <dir>', description).default(BESIDE_THE_CHECKOUT, '../shared/data, next to the checkout');
