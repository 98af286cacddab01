/**
 * The slow decoder is the oracle of every family. This holds it against another one: logits that
 * Hugging Face's Transformers computed for the same weights (test/clients/transformers-logits.py).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tinyBundle } from '../fixtures/tiny-bundle.ts';
import { TINY_FAMILIES, TINY_FAMILY_NAMES, type TinyFamily } from '../fixtures/tiny-families.ts';
import type { Bundle } from '../load-bundle.ts';
import { slowDecoder } from './slow-decoder.ts';

/** The largest logit at each position, and the logits of ids 0 to 7 at the last. */
type Stored = { ids: number[]; families: Record<TinyFamily, { largest: number[]; last: number[] }> };
const file = join(import.meta.dirname, 'transformers-logits.json');
const { ids, families }: Stored = JSON.parse(readFileSync(file, 'utf8'));

test.each(TINY_FAMILY_NAMES)('the slow decoder computes what Transformers computes: %s', (name) => {
  // The slow decoder reads no more of a bundle than these parts.
  const bundle = tinyBundle({ config: TINY_FAMILIES[name] }) as unknown as Bundle;
  const logitsAfter = (count: number) =>
    slowDecoder(bundle, ids.slice(0, count), () => ({ safety: 0, helpfulness: 0 })).logits;
  // Transformers ran in float64, but its sines and cosines are float32, so logits of about 3 may
  // differ in the sixth digit.
  const { largest, last } = families[name];
  for (const [i, wanted] of largest.entries()) {
    expect(Math.abs(Math.max(...logitsAfter(i + 1)) - wanted)).toBeLessThan(1e-5);
  }
  const found = logitsAfter(ids.length);
  for (const [id, wanted] of last.entries()) expect(Math.abs(found[id]! - wanted)).toBeLessThan(1e-5);
});
