import { copyFile, mkdtemp, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { DIALOGUE_LAYOUTS } from './dialogues.ts';
import { PREFERENCE_LAYOUTS } from './preferences.ts';
import { readParquet } from './read-parquet.ts';

const fixture = (name: string) => path.join(import.meta.dirname, 'fixtures', `${name}.parquet`);

test('reads every row of every row group, in order', async () => {
  const rows = await Array.fromAsync(PREFERENCE_LAYOUTS.ultrafeedback(fixture('ultrafeedback')));
  expect(rows).toEqual(
    Array.from({ length: 5 }, (_, i) => ({
      prompt: [{ role: 'user', content: `question ${i}` }],
      responses: [`good answer ${i} \u00e9`, `poor answer ${i}`],
      better: i === 3 ? null : 0,
      safer: null,
      safe: [null, null],
      source: 'UltraFeedback',
    })),
  );
});

test.each(['zstd', 'gzip', 'brotli', 'none'])('reads compression %s', async (compression) => {
  const schema = z.object({ response: z.string(), is_safe: z.boolean(), category: z.record(z.string(), z.boolean()) });
  const rows = await Array.fromAsync(readParquet(fixture(`beavertails-${compression}`), schema));
  const harms = (category: Record<string, boolean>) => Object.keys(category).filter((name) => category[name]);
  expect(rows.map(({ response, is_safe, category }) => [response, is_safe, harms(category)])).toEqual([
    ['a', true, []],
    ['b', false, ['privacy_violation']],
  ]);
});

test('reads 64-bit integers as numbers, keeps nulls, and names an invalid row', async () => {
  const file = fixture('pku-saferlhf-null-answer');
  const rows = PREFERENCE_LAYOUTS['pku-saferlhf'](file);
  expect((await rows.next()).value).toMatchObject({ better: 0, safer: 1, safe: [null, true] });
  await expect(rows.next()).rejects.toThrow(/pku-saferlhf-null-answer\.parquet: row 2: .*response_1/);
});

test('names the first row of a file with another layout', async () => {
  await expect(Array.fromAsync(DIALOGUE_LAYOUTS.alpaca.read(fixture('ultrafeedback')))).rejects.toThrow(
    /ultrafeedback\.parquet: row 1: .*instruction/,
  );
});

test('names a truncated file', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-parquet-'));
  const file = path.join(dir, 'short.parquet');
  await copyFile(fixture('ultrafeedback'), file);
  await truncate(file, 3000);
  await expect(Array.fromAsync(PREFERENCE_LAYOUTS.ultrafeedback(file))).rejects.toThrow(/short\.parquet: /);
  await rm(dir, { recursive: true });
});
