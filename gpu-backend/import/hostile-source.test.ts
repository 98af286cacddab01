/** Sources and targets that somebody made to do harm, or that an accident has spoilt. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { GgufBytes, ggufBytes } from '#gpu-backend/gguf/testing/make-gguf.ts';
import { importBench } from './testing/import-tiny.ts';
import { tinyModel } from './testing/make-sources.ts';

const { place, folderOf, adaptersFor, imported } = importBench('hostile-source');
const experts = { safety: {}, helpfulness: {} };
const importTo = async (out: string) => imported(await folderOf(tinyModel()), { out, experts });

describe('the folder in which an import works', () => {
  const untouched = 'wanted the folder of an earlier import or nothing; nothing was touched';

  test('is not taken from somebody else', async () => {
    const out = place();
    await mkdir(`${out}.partial`);
    await writeFile(join(`${out}.partial`, 'thesis.txt'), 'years of work');
    await expect(importTo(out)).rejects.toThrow(`${out}.partial: found a folder with other things in it, ${untouched}`);
    expect(await readFile(join(`${out}.partial`, 'thesis.txt'), 'utf8')).toBe('years of work');
  });

  test('is no link', async () => {
    const [out, other] = [place(), place()];
    await mkdir(other);
    await symlink(other, `${out}.partial`);
    await expect(importTo(out)).rejects.toThrow(`${out}.partial: found a link, ${untouched}`);
  });

  test('is no file', async () => {
    const out = place();
    await writeFile(`${out}.partial`, 'x');
    await expect(importTo(out)).rejects.toThrow(`${out}.partial: found a file, ${untouched}`);
  });

  test('may be empty', async () => {
    const out = place();
    await mkdir(`${out}.partial`);
    await importTo(out);
  });
});

test('a target that is a link to nothing is refused before anything is written', async () => {
  const out = place();
  await symlink('/nowhere/at/all', out);
  await expect(importTo(out)).rejects.toThrow(`${out}: found a link to nothing, wanted a new folder`);
  expect(existsSync(`${out}.partial`)).toBe(false);
});

describe.skipIf(process.platform === 'win32')('a named pipe is refused, and not waited for', () => {
  test.each(['config.json', 'tokenizer.json', 'README.md', 'model.safetensors'])('as %s', async (file) => {
    const source = await folderOf(tinyModel());
    await rm(join(source, file), { force: true });
    execFileSync('mkfifo', [join(source, file)]);
    await expect(imported(source)).rejects.toThrow(`${file}: cannot be read: found no regular`);
  });

  test('as the weights of an adapter', async () => {
    const { safety } = await adaptersFor(tinyModel());
    const file = join(safety.adapter!, 'adapter_model.safetensors');
    await rm(file);
    execFileSync('mkfifo', [file]);
    const source = await folderOf(tinyModel());
    await expect(imported(source, { experts: { safety, helpfulness: {} } })).rejects.toThrow(
      `${file}: found no regular file, wanted a LoRA adapter as PEFT saves it`,
    );
  });
});

test('an error says no more of a long value than a person reads', async () => {
  const source = await folderOf(tinyModel(), { shards: 2 });
  const file = join(source, 'model.safetensors.index.json');
  await writeFile(file, `{"weight_map": [${'"x",'.repeat(100_000)}1]}`);
  const error: unknown = await imported(source).catch((thrown: unknown) => thrown);
  expect((error as Error).message).toMatch(
    /^model\.safetensors\.index\.json: weight_map: found \["x",.*\.\.\., wanted/,
  );
  expect((error as Error).message.length).toBeLessThan(500);
});

test('metadata of more items than any model has are refused before they are read', async () => {
  const count = 5_000_000;
  const bytes = new GgufBytes().u32(0).u64(count).bytes(Buffer.alloc(count)).build();
  const file = `${place()}.gguf`;
  await writeFile(file, ggufBytes({ metadata: [['a', { type: 9, bytes }]] }));
  await expect(imported(file)).rejects.toThrow('a: found 5000000 items in all arrays so far, wanted at most 4194304');
});
