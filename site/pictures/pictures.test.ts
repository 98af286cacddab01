/** The pictures in the repository are those that the programs draw. */
import path from 'node:path';
import { expect, test } from 'vitest';
import { pictures } from './all.ts';
import { recorded } from './recorded.ts';

const drawn = Object.entries(pictures(recorded()));

test.each(drawn)('%s is what is drawn from the figures (vitest -u writes it)', async (file, svg) => {
  await expect(svg).toMatchFileSnapshot(path.join(import.meta.dirname, '../..', file));
});

test.each(drawn)('%s has colours for a light and for a dark page, and no number that is not one', (_, svg) => {
  expect(svg).toContain('prefers-color-scheme:dark');
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
});
