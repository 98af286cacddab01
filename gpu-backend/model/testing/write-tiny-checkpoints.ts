/**
 * Writes the tiny families as Transformers reads a model: config.json, in the words of
 * `TINY_FAMILIES`, and model.safetensors. test/clients/transformers-logits.py reads them, and says
 * how to run both.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tinyBundle } from '../fixtures/tiny-bundle.ts';
import { TINY_FAMILIES, TINY_FAMILY_NAMES } from '../fixtures/tiny-families.ts';
import { writeSafetensors } from '../write-safetensors.ts';

const root = process.argv[2];
if (root === undefined) throw new Error('wanted a folder to write to');
for (const name of TINY_FAMILY_NAMES) {
  const { config, weights } = tinyBundle({ config: TINY_FAMILIES[name] });
  // Only what Transformers knows of the shape; the rest is in the family's own words.
  const { rope_scaling, sliding_window, head_dim, attention_bias, mlp_bias, ...shape } = config;
  const dir = join(root, name);
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, 'config.json'), JSON.stringify({ ...shape, ...TINY_FAMILIES[name] }));
  await writeSafetensors(join(dir, 'model.safetensors'), weights, { dtype: 'f32' });
}
