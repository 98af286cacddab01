import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { blobFile, ensureBlob, findBlob, moveToStore, writeVerified } from './blob-store.ts';
import { type CacheFolder, cacheFolder } from './cache-folder.ts';

const BYTES = Buffer.from('the bytes of a model');
const ID = { sha256: createHash('sha256').update(BYTES).digest('hex'), bytes: BYTES.length };
const others = (part: string) => Buffer.from(part.padEnd(BYTES.length));
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

let dir: string;
let cache: CacheFolder;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-blobs-'));
  cache = cacheFolder({ PLIMSOLL_CACHE: dir });
});
afterEach(() => rm(dir, { recursive: true }));

async function* partsOf(...parts: Buffer[]) {
  yield* parts;
}
const write = (file: string, ...parts: Buffer[]) =>
  writeVerified(file, partsOf(...parts), ID, { source: 'model.gguf', onBytes: () => {} });
const fill = vi.fn((file: string) => write(file, BYTES));
beforeEach(() => void fill.mockClear());

describe('the cache folder', () => {
  test('is where PLIMSOLL_CACHE says', () => {
    expect(cacheFolder({ PLIMSOLL_CACHE: 'some/where' }).blobs).toBe(path.resolve('some/where/blobs'));
  });

  test.each([undefined, ''])('is below the home folder if PLIMSOLL_CACHE is %j', (PLIMSOLL_CACHE) => {
    vi.stubEnv('XDG_CACHE_HOME', '');
    vi.stubEnv('LOCALAPPDATA', '');
    const found = cacheFolder({ PLIMSOLL_CACHE }).dir;
    vi.unstubAllEnvs();
    expect(found.startsWith(path.join(homedir(), path.sep))).toBe(true);
    expect(found.split(path.sep)).toContain('plimsoll');
  });
});

describe('a file in the cache', () => {
  test('is filled once, then found', async () => {
    expect(await findBlob(cache, ID)).toEqual({ missing: `${blobFile(cache, ID.sha256)}: no such file` });
    const file = await ensureBlob(cache, ID, fill);
    expect(file).toBe(path.join(dir, 'blobs', ID.sha256));
    expect((await readFile(file)).equals(BYTES)).toBe(true);
    expect(await ensureBlob(cache, ID, fill)).toBe(file);
    expect(fill).toHaveBeenCalledOnce();
    expect((await readdir(cache.blobs)).toSorted()).toEqual([ID.sha256, `${ID.sha256}.json`]);
  });

  test('may be moved there, once or twice', async () => {
    for (const name of ['first', 'second']) {
      const from = path.join(dir, name);
      await writeFile(from, BYTES);
      expect(await moveToStore(cache, from)).toEqual(ID);
      await expect(stat(from)).rejects.toThrow('ENOENT');
    }
    expect(await findBlob(cache, ID)).toEqual({ file: blobFile(cache, ID.sha256) });
  });

  test('is filled by one of many who want it at once, and the others wait', async () => {
    const waits: string[] = [];
    const wanting = Array.from({ length: 4 }, (_, i) =>
      ensureBlob(cache, ID, fill, { onWait: () => waits.push(`${i}`) }),
    );
    expect(new Set(await Promise.all(wanting))).toEqual(new Set([blobFile(cache, ID.sha256)]));
    expect(fill).toHaveBeenCalledOnce();
    expect(waits).toHaveLength(3);
  });

  test('is filled by another if the first one fails', async () => {
    const failing = ensureBlob(cache, ID, () => Promise.reject(new Error('cut')));
    const [first, second] = await Promise.allSettled([failing, ensureBlob(cache, ID, fill)]);
    expect([first.status, second.status]).toEqual(['rejected', 'fulfilled']);
  });

  test('is hashed again only if its size or time is not the recorded one', async () => {
    const file = await ensureBlob(cache, ID, fill);
    const { atime, mtime } = await stat(file);
    await writeFile(file, others('other bytes'));
    await utimes(file, atime, mtime);
    const { mtimeMs } = await stat(file);
    await writeFile(`${file}.json`, JSON.stringify({ bytes: BYTES.length, modifiedMs: mtimeMs }));
    // Same size, same time: nobody looks.
    expect(await findBlob(cache, ID)).toEqual({ file });
    await utimes(file, atime, new Date(1_000_000_000_000));
    const found = sha256(others('other bytes'));
    expect(await findBlob(cache, ID)).toEqual({ missing: `${file}: found SHA-256 ${found}, wanted ${ID.sha256}` });
  });

  test('with a record that cannot be read is hashed', async () => {
    const file = await ensureBlob(cache, ID, fill);
    await writeFile(`${file}.json`, '{"bytes');
    expect(await findBlob(cache, ID)).toEqual({ file });
    expect(JSON.parse(await readFile(`${file}.json`, 'utf8'))).toMatchObject({ bytes: BYTES.length });
  });

  test.each([
    ['truncated', Buffer.from('the bytes'), `found 9 bytes, wanted ${BYTES.length}`],
    ['damaged', others('the byt3s'), `found SHA-256 ${sha256(others('the byt3s'))}, wanted ${ID.sha256}`],
  ])('that is %s is missing, and is replaced', async (_, bytes, why) => {
    const file = await ensureBlob(cache, ID, fill);
    await writeFile(file, bytes);
    await utimes(file, new Date(), new Date(1_000_000_000_000));
    expect(await findBlob(cache, ID)).toEqual({ missing: `${file}: ${why}` });
    await ensureBlob(cache, ID, fill);
    expect((await readFile(file)).equals(BYTES)).toBe(true);
  });
});

describe('nothing is left behind', () => {
  const target = () => path.join(dir, 'model');

  test.each([
    ['by a truncated source', [BYTES.subarray(0, 5)], `model.gguf: found 5 bytes, wanted ${BYTES.length}`],
    ['by a source that is too long', [BYTES, BYTES], `found more than ${BYTES.length} bytes`],
    ['by other bytes', [others('no')], `found SHA-256 ${sha256(others('no'))}, wanted ${ID.sha256}`],
  ])('%s', async (_, parts, message) => {
    await expect(write(target(), ...parts)).rejects.toThrow(message);
    expect(await readdir(dir)).toEqual([]);
  });

  test('by a signal', async () => {
    const stop = new AbortController();
    const half = async function* () {
      yield BYTES.subarray(0, 5);
      stop.abort(new Error('enough'));
      yield BYTES.subarray(5);
    };
    const options = { source: 'model.gguf', onBytes: () => {}, signal: stop.signal };
    await expect(writeVerified(target(), half(), ID, options)).rejects.toThrow('enough');
    expect(await readdir(dir)).toEqual([]);
  });

  test.skipIf(process.platform !== 'linux')('by a full disk, and the error names the file', async () => {
    // /dev/full takes no byte. It stands in for the file on a full disk.
    await symlink('/dev/full', `${target()}.new`);
    await expect(write(target(), BYTES)).rejects.toThrow(`${target()}.new cannot be written: ENOSPC`);
    expect(await readdir(dir)).toEqual([]);
  });
});

describe('a cache that cannot be written', () => {
  test('for lack of room is noticed before anything is fetched', async () => {
    const huge = { ...ID, bytes: 1e18 };
    await expect(ensureBlob(cache, huge, fill)).rejects.toThrow(
      /the disk of .* is full: found .* MB free, wanted 1000000000000\.0 MB; PLIMSOLL_CACHE may name another folder/,
    );
    expect(fill).not.toHaveBeenCalled();
  });

  test.skipIf(process.platform !== 'linux')('says which folder it is, and how to name another', async () => {
    const nowhere = cacheFolder({ PLIMSOLL_CACHE: '/proc/plimsoll' });
    await expect(ensureBlob(nowhere, ID, fill)).rejects.toThrow(
      /the cache \/proc\/plimsoll cannot be written \(.*takes no new folders\); PLIMSOLL_CACHE may name another folder/,
    );
  });

  test('does not keep anybody from using what it has', async () => {
    const file = await ensureBlob(cache, ID, fill);
    // A link to nowhere cannot be read or written, like any file of a read-only disk.
    await rm(`${file}.json`);
    await symlink(path.join(dir, 'no/such/folder'), `${file}.json`);
    expect(await ensureBlob(cache, ID, fill)).toBe(file);
    expect(fill).toHaveBeenCalledOnce();
  });
});
