import { expect, test } from 'vitest';
import type { Manifest } from '../model/manifest.ts';
import { chooseSpeculation } from './choose-speculation.ts';

const weights = (arithmetic: 'exact' | 'fast') =>
  ({ weights: { type: 'int4', arithmetic } }) as Pick<Manifest, 'weights'>;

test('is on, except where rounding would change answers', () => {
  expect(chooseSpeculation('auto', {})).toBe(true);
  expect(chooseSpeculation('auto', weights('exact'))).toBe(true);
  expect(chooseSpeculation('auto', weights('fast'))).toBe(false);
});

test('is what the operator says', () => {
  expect(chooseSpeculation('on', weights('fast'))).toBe(true);
  expect(chooseSpeculation('off', {})).toBe(false);
});
