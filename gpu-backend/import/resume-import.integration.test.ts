/** An import that ends too early leaves no bundle, and the next one goes on where it stopped. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  closeSync,
  existsSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { appendFile, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, test } from 'vitest';
import { loadBundle } from '#gpu-backend/model/load-bundle.ts';
import { type ImportOptions, type ImportProgress, importModel } from './import-model.ts';
import { importBench } from './testing/import-tiny.ts';
import { ggufModel, tinyModel } from './testing/make-sources.ts';

const { place, folderOf, ggufOf, imported } = importBench('resume-import');
const PROGRAM = join(import.meta.dirname, 'testing/import-program.ts');
/** Enough tensors that a kill has many places to fall between. */
const parts = tinyModel({ num_hidden_layers: 24, intermediate_size: 64 });
const base = { safety: {}, helpfulness: {} };

/** Kills the import with SIGKILL once it has reached `until`. Returns its last line. */
async function killedAt(source: string, out: string, until: (line: string) => boolean): Promise<string> {
  const child = spawn(process.execPath, [PROGRAM, source, out], { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  let last = '';
  for await (const line of createInterface({ input: child.stdout })) {
    last = line;
    if (until(line)) child.kill('SIGKILL');
  }
  await closed;
  return last;
}

test('imports killed at any point and then finished have the digest of one that ran through', async () => {
  const source = await folderOf(parts, { dtype: 'BF16', shards: 3 });
  const wanted = (await loadBundle(await imported(source))).digest;
  const { size } = await stat(join(await imported(source), 'model.safetensors'));
  const out = place();
  // Six kills at random places among the weights, each behind the one before, and two at the ends.
  const places = Array.from({ length: 6 }, () => Math.floor(Math.random() * size)).sort((a, b) => a - b);
  const kills: ((line: string) => boolean)[] = [
    (line) => line.startsWith('hash'),
    ...places.map((bytes) => (line: string) => line.startsWith('write') && Number(line.slice(6)) >= bytes),
    (line) => line.startsWith('check'),
  ];
  for (const kill of kills) {
    expect(await killedAt(source, out, kill), `killed at ${places}`).not.toContain('digest');
    expect(existsSync(out)).toBe(false);
  }
  expect(await killedAt(source, out, () => false), `killed at ${places}`).toBe(`digest ${wanted}`);
  expect((await loadBundle(out)).digest).toBe(wanted);
  expect(existsSync(`${out}.partial`)).toBe(false);
});

/** Stops an import after some tensors, and returns the folder that it should have made. */
async function stoppedHalfway(options: Omit<ImportOptions, 'out' | 'id' | 'experts'>): Promise<string> {
  const out = place();
  const stop = new AbortController();
  const onProgress = ({ stage, done, total }: ImportProgress) => {
    if (stage === 'write' && done > total / 2) stop.abort(new Error('stopped here'));
  };
  const run = importModel({ ...options, out, id: 'm', experts: base, onProgress, signal: stop.signal });
  await expect(run).rejects.toThrow('stopped here');
  expect(existsSync(out)).toBe(false);
  return out;
}

/** Finishes an import, and returns its digest. */
const finished = (options: Omit<ImportOptions, 'id' | 'experts'>) =>
  importModel({ ...options, id: 'm', experts: base });

const writtenIn = async (out: string) =>
  (await readFile(`${out}.partial/import.jsonl`, 'utf8')).split('\n').filter((line) => line.includes('crc32')).length;

test('a signal stops an import between two tensors, and the next import writes only the rest', async () => {
  const source = await ggufOf(parts, { type: 'Q8_0' });
  const out = await stoppedHalfway({ source });
  const before = await writtenIn(out);
  expect(before).toBeGreaterThan(50);
  // The next import counts them as written before it writes any itself.
  const stop = new AbortController();
  const onProgress = ({ stage }: ImportProgress) => void (stage === 'write' && stop.abort(new Error('again')));
  const run = importModel({ source, out, id: 'm', experts: base, onProgress, signal: stop.signal });
  await expect(run).rejects.toThrow('again');
  expect(await writtenIn(out)).toBe(before);
  const { digest } = await finished({ source, out });
  expect(digest).toBe((await loadBundle(await imported(source))).digest);
});

test('an import that is refused keeps what an earlier one has written, and leaves nothing of its own', async () => {
  const source = await ggufOf(parts);
  const out = await stoppedHalfway({ source });
  const before = await writtenIn(out);
  await expect(finished({ source, out, routers: 'nowhere' })).rejects.toThrow('nowhere: found no router');
  expect(await writtenIn(out)).toBe(before);
  const other = place();
  await expect(finished({ source, out: other, routers: 'nowhere' })).rejects.toThrow('nowhere: found no router');
  expect(existsSync(`${other}.partial`)).toBe(false);
});

test('a tensor that the disk has lost is written again, and so is one whose line is torn', async () => {
  const source = await folderOf(parts);
  const out = await stoppedHalfway({ source });
  const file = await open(`${out}.partial/model.safetensors`, 'r+');
  await file.write(Buffer.alloc(40_000), 0, 40_000, 60_000);
  await file.close();
  await appendFile(`${out}.partial/import.jsonl`, '{"tensor":"model.norm.wei');
  expect((await finished({ source, out })).digest).toBe((await loadBundle(await imported(source))).digest);
});

describe('a source that changes while it is read', () => {
  const other = ggufModel(tinyModel({ num_hidden_layers: 24, intermediate_size: 64, rope_theta: 5 }));
  // They are done before the import goes on.
  const changes: Record<string, (file: string) => void> = {
    'is written to': (file) => {
      const opened = openSync(file, 'r+');
      writeSync(opened, Buffer.alloc(4), 0, 4, statSync(file).size - 4);
      closeSync(opened);
    },
    'is replaced': (file) => {
      writeFileSync(`${file}.new`, other);
      renameSync(`${file}.new`, file);
    },
    grows: (file) => appendFileSync(file, 'more'),
    'is deleted': (file) => rmSync(file),
  };

  test.each(Object.keys(changes))('%s: no bundle is made, and the next import starts afresh', async (how) => {
    const source = await ggufOf(parts);
    const out = place();
    let changed = false;
    const onProgress = ({ stage, done, total }: ImportProgress) => {
      if (changed || stage !== 'write' || done < total / 2) return;
      changed = true;
      changes[how]!(source);
    };
    const run = importModel({ source, out, id: 'm', experts: base, onProgress });
    await expect(run).rejects.toThrow(/\.gguf: the file changed while it was read: found .* wanted .* as at the start/);
    expect(existsSync(out)).toBe(false);
    if (how === 'is deleted') return;
    expect((await finished({ source, out })).digest).toBe((await loadBundle(await imported(source))).digest);
  });
});

test('another source, or other weights, start afresh in the same folder', async () => {
  const source = await folderOf(parts);
  const other = await folderOf(tinyModel({ num_hidden_layers: 24, intermediate_size: 64, rope_theta: 5 }));
  for (const options of [{ source: other }, { source, weights: 'f16' as const }]) {
    const out = await stoppedHalfway({ source });
    const { digest } = await finished({ ...options, out });
    expect(digest).toBe((await loadBundle(await imported(options.source, options))).digest);
  }
});

test('leftovers of other kinds in the partial folder do not get into the bundle', async () => {
  const source = await folderOf(parts);
  const out = await stoppedHalfway({ source });
  await writeFile(`${out}.partial/notes.txt`, 'x');
  await rm(`${out}.partial/import.jsonl`);
  await finished({ source, out });
  expect(await readdir(out)).not.toContain('notes.txt');
});

test('two imports into one folder do not get in each other’s way', async () => {
  const source = await folderOf(parts);
  const out = place();
  let second: Promise<unknown> | undefined;
  const onProgress = ({ stage }: ImportProgress) => {
    if (stage !== 'write') return;
    second ??= importModel({ source, out, id: 'm', experts: base }).catch((error: unknown) => String(error));
  };
  await importModel({ source, out, id: 'm', experts: base, onProgress });
  expect(await second).toContain('found another import at work in it, wanted it alone');
});
