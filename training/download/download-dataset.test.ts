import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Hub } from '#gpu-backend/download/hub.ts';
import { checksumOf, type HostedFile, HubServer } from '#gpu-backend/download/testing/hub-server.ts';
import { downloadDataset } from './download-dataset.ts';
import type { KnownDataset } from './known-datasets.ts';
import { readLock } from './lock-file.ts';

const COMMIT = '1'.repeat(40);
const LATER_COMMIT = '2'.repeat(40);
const DATASET: KnownDataset = {
  what: 'a test',
  repo: 'someone/pairs',
  revision: 'main',
  files: { train: ['data/*/train.jsonl'], test: ['data/*/test.jsonl.gz'] },
  layout: 'pku-saferlhf',
  judges: ['safer'],
  licence: 'MIT',
  weights: 'any use',
};
/** The bytes differ from place to place, so that a test notices bytes in the wrong place. */
const bytes = (length: number) => Buffer.from(Array.from({ length }, (_, i) => (i * i + (i >> 8)) % 251));
const TRAIN = 'data/big/train.jsonl';
const TEST = 'data/big/test.jsonl.gz';

let dir: string;
let files: Record<string, HostedFile>;
let server: HubServer;
let revisions: Record<string, string>;
let arrived: Map<string, number>;
const sleep = vi.fn<(ms: number) => Promise<void>>();
const note = vi.fn<(line: string) => void>();

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-download-'));
  files = {
    'README.md': { bytes: Buffer.from('# Pairs'), lfs: false },
    [TRAIN]: { bytes: bytes(300_000), lfs: true },
    [TEST]: { bytes: gzipSync('{}\n'), lfs: false },
  };
  revisions = { main: COMMIT };
  server = await HubServer.start({ repo: DATASET.repo, revisions, files });
  arrived = new Map();
  server.arrived = (path) => arrived.get(path) ?? 0;
  sleep.mockReset().mockResolvedValue();
  note.mockReset();
});
afterEach(async () => {
  await server.stop();
  await rm(dir, { recursive: true });
});

function download({ token = null as string | null, update = false, dataset = DATASET } = {}) {
  const retrying = { sleep, random: () => 1, note };
  const hub = new Hub({ ...retrying, endpoint: server.endpoint, token, kind: 'dataset', fetch });
  const onFile = ({ path }: { path: string }) => ({
    onBytes: (bytes: number) => void arrived.set(path, bytes),
    done: () => {},
  });
  return downloadDataset(dataset, { hub, dir, update, retrying, onFile });
}
const onDisk = (file: string) => readFile(path.join(dir, file));
const bytesRequests = () => server.requestsFor(TRAIN).filter(({ server: of }) => of === 'storage');

describe('a whole download', () => {
  test('gets only the wanted files, and records them in the lock file', async () => {
    const lock = await download();
    expect((await readdir(dir, { recursive: true })).toSorted()).toEqual(
      ['data', 'data/big', TEST, TRAIN, 'dataset.lock.json'].toSorted(),
    );
    for (const file of [TRAIN, TEST]) expect((await onDisk(file)).equals(files[file]!.bytes)).toBe(true);
    expect(lock).toEqual({
      repo: 'someone/pairs',
      revision: 'main',
      commit: COMMIT,
      layout: 'pku-saferlhf',
      licence: 'MIT',
      files: [
        { path: TRAIN, size: 300_000, sha256: checksumOf(files[TRAIN]!) },
        { path: TEST, size: files[TEST]!.bytes.length, gitSha1: checksumOf(files[TEST]!) },
      ],
    });
    expect(await readLock(dir)).toEqual(lock);
  });

  test('is checked on the next run, but not requested again', async () => {
    const lock = await download();
    server.requests.length = 0;
    expect(await download()).toEqual(lock);
    expect(server.requests).toEqual([]);
  });

  test('with one changed file gets only that file again', async () => {
    await download();
    await writeFile(path.join(dir, TRAIN), bytes(300_000).fill(7, 10, 20));
    server.requests.length = 0;
    await download();
    expect((await onDisk(TRAIN)).equals(files[TRAIN]!.bytes)).toBe(true);
    expect(server.requestsFor(TEST)).toEqual([]);
  });

  test('gets files that the table has added since, from the commit in its lock file', async () => {
    await download({ dataset: { ...DATASET, files: { train: DATASET.files.train, test: [] } } });
    const lock = await download();
    expect(lock.files.map((file) => file.path)).toEqual([TRAIN, TEST]);
    expect(bytesRequests()).toHaveLength(1);
  });

  test('stays at the commit in its lock file when the branch moves, until it is told to update', async () => {
    await download();
    revisions.main = LATER_COMMIT;
    revisions.old = COMMIT;
    await rm(path.join(dir, TEST));
    expect((await download()).commit).toBe(COMMIT);
    expect((await download({ update: true })).commit).toBe(LATER_COMMIT);
  });
});

describe('a cut connection', () => {
  test('is retried from where it stopped, as long as each attempt brings some bytes', async () => {
    const cuts = Array.from({ length: 8 }, () => ({ cutAfter: 20_000 }));
    server.faults.set(TRAIN, cuts);
    await download();
    expect((await onDisk(TRAIN)).equals(files[TRAIN]!.bytes)).toBe(true);
    const ranges = bytesRequests().map(({ headers }) => headers.range);
    expect(ranges).toEqual([undefined, ...Array.from({ length: 8 }, (_, i) => `bytes=${20_000 * (i + 1)}-`)]);
    expect(
      new Set(
        bytesRequests()
          .slice(1)
          .map(({ headers }) => headers['if-range']),
      ),
    ).toEqual(new Set([expect.stringMatching(/^"[0-9a-f]{32}-1"$/)]));
    expect(note).toHaveBeenCalledWith(expect.stringMatching(/big\/train\.jsonl.*; trying again in 1\.0 s/));
  });

  test('is an error after six attempts in a row without progress, and the next run resumes', async () => {
    server.faults.set(TRAIN, [{ cutAfter: 20_000 }, ...Array.from({ length: 5 }, () => ({ cutAfter: 0 }))]);
    await expect(download()).rejects.toThrow(/big\/train\.jsonl.*\(6 attempts\)/);
    expect((await stat(path.join(dir, `${TRAIN}.part`))).size).toBe(20_000);
    server.requests.length = 0;
    await download();
    expect(bytesRequests().map(({ headers }) => headers.range)).toEqual(['bytes=20000-']);
    expect((await onDisk(TRAIN)).equals(files[TRAIN]!.bytes)).toBe(true);
    expect(await readdir(path.join(dir, 'data/big'))).toEqual(['test.jsonl.gz', 'train.jsonl']);
  });

  test('restarts the download if the file on the server has changed', async () => {
    server.faults.set(TRAIN, [{ cutAfter: 20_000 }, { status: 404 }]);
    await expect(download()).rejects.toThrow('404');
    files[TRAIN]!.bytes = bytes(310_000).reverse();
    revisions.main = LATER_COMMIT;
    server.requests.length = 0;
    await download({ update: true });
    expect(bytesRequests().map(({ headers }) => headers.range)).toEqual([undefined]);
    expect((await onDisk(TRAIN)).equals(files[TRAIN]!.bytes)).toBe(true);
  });

  test('replaces a partial file that does not match the ETag with what the server sends', async () => {
    server.faults.set(TRAIN, [{ cutAfter: 20_000 }, { status: 404 }]);
    await expect(download()).rejects.toThrow('404');
    const record = path.join(dir, `${TRAIN}.part.json`);
    await writeFile(record, (await readFile(record, 'utf8')).replace(/[0-9a-f]{32}-1/, `${'0'.repeat(32)}-1`));
    await download();
    expect((await onDisk(TRAIN)).equals(files[TRAIN]!.bytes)).toBe(true);
  });

  test('discards a partial file of unknown content', async () => {
    server.faults.set(TRAIN, [{ cutAfter: 20_000 }, { status: 404 }]);
    await expect(download()).rejects.toThrow('404');
    await writeFile(path.join(dir, `${TRAIN}.part.json`), '{"checksum');
    server.requests.length = 0;
    await download();
    expect(bytesRequests().map(({ headers }) => headers.range)).toEqual([undefined]);
  });
});

describe('a wrong checksum', () => {
  test.each([
    ['of a file in large-file storage', TRAIN, 'f'.repeat(64)],
    ['of a file in the repository', TEST, 'f'.repeat(40)],
  ])('%s deletes the download and says so', async (_, file, claimed) => {
    const actual = checksumOf(files[file]!);
    files[file]!.claimed = claimed;
    await expect(download()).rejects.toThrow(
      `${file}: wrong checksum: ${actual} instead of ${claimed}; what was downloaded is deleted`,
    );
    const left = await readdir(path.join(dir, 'data/big'));
    expect(left.filter((name) => name.startsWith(path.basename(file)))).toEqual([]);
  });

  test.each([
    [TRAIN, 64],
    [TEST, 40],
  ])('that the hub itself announces for %s is an error before any byte is downloaded', async (file, length) => {
    files[file]!.etag = 'e'.repeat(length);
    await expect(download()).rejects.toThrow(
      `${file}: the hub's list says ${checksumOf(files[file]!)}, the hub's file ${'e'.repeat(length)}`,
    );
    await expect(stat(path.join(dir, `${file}.part`))).rejects.toThrow('ENOENT');
  });

  test('of a partial file that was damaged on disk is noticed', async () => {
    server.faults.set(TRAIN, [{ cutAfter: 20_000 }, { status: 404 }]);
    await expect(download()).rejects.toThrow('404');
    await writeFile(path.join(dir, `${TRAIN}.part`), bytes(20_000).fill(0, 5, 6));
    await expect(download()).rejects.toThrow('wrong checksum');
    await download();
    expect((await onDisk(TRAIN)).equals(files[TRAIN]!.bytes)).toBe(true);
  });
});

describe('the answers of the server', () => {
  test('503, 429 and 500 are retried, after the time that Retry-After says', async () => {
    server.faults.set('api', [{ status: 503, headers: { 'retry-after': '7' } }, { status: 500 }]);
    server.faults.set(TRAIN, [{ status: 429, headers: { 'retry-after': '3' } }]);
    await download();
    expect(sleep.mock.calls.flat()).toEqual([7000, 2000, 3000]);
    expect((await onDisk(TRAIN)).equals(files[TRAIN]!.bytes)).toBe(true);
  });

  test('the same failure six times is an error', async () => {
    server.faults.set(
      'api',
      Array.from({ length: 6 }, () => ({ status: 503 })),
    );
    await expect(download()).rejects.toThrow(/revision\/main: 503 \(6 attempts\)/);
    expect(sleep.mock.calls.flat()).toEqual([1000, 2000, 4000, 8000, 16_000]);
  });

  test('a Retry-After of more than five minutes is an error, so that the user decides', async () => {
    server.faults.set('api', [{ status: 429, headers: { 'retry-after': '3600' } }]);
    await expect(download()).rejects.toThrow('429; it asks to come back in 3600 s');
  });

  test.each([
    [
      'a data set that does not exist',
      { repo: 'someone/else' },
      /someone\/else.*: 404.*no such data set, revision or file/,
    ],
    ['a revision that does not exist', { revision: 'gone' }, /revision\/gone: 404/],
    [
      'a file that does not exist',
      { files: { train: ['train.csv'], test: [] } },
      /no file is called train\.csv; there are README\.md, data\/big/,
    ],
  ])('report %s at once', async (_, more, message) => {
    await expect(download({ dataset: { ...DATASET, ...more } })).rejects.toThrow(message);
    expect(sleep).not.toHaveBeenCalled();
  });

  test.each([401, 403])('%i tells the user to accept the terms or to set a token', async (status) => {
    server.faults.set('api', [{ status }]);
    await expect(download()).rejects.toThrow(/terms must be accepted on the hub first; set HF_TOKEN/);
  });

  test('a commit other than the pinned one is an error', async () => {
    revisions['3'.repeat(40)] = COMMIT;
    await expect(download({ dataset: { ...DATASET, revision: '3'.repeat(40) } })).rejects.toThrow(
      `the hub answers with commit ${COMMIT} where ${'3'.repeat(40)} was asked for`,
    );
  });

  test('a file list that changed under the same commit is an error', async () => {
    await download();
    files[TRAIN]!.bytes = bytes(5);
    await rm(path.join(dir, TRAIN));
    await expect(download()).rejects.toThrow(`${TRAIN} is not what dataset.lock.json says of the same commit`);
  });

  test('a path that leaves the folder is an error', async () => {
    files['data/../../../train.jsonl'] = { bytes: Buffer.from('{}'), lfs: false };
    const dataset = { ...DATASET, files: { train: ['data/../../../*.jsonl'], test: [] } };
    await expect(download({ dataset })).rejects.toThrow('"data/../../../train.jsonl" is no path inside a folder');
  });

  test('an answer that is not from a hub is an error', async () => {
    const retrying = { sleep, random: () => 1, note };
    const answers = async () => new Response('<html>Welcome</html>');
    const hub = new Hub({
      ...retrying,
      endpoint: 'http://127.0.0.1:1/proxy/',
      token: null,
      kind: 'dataset',
      fetch: answers,
    });
    await expect(hub.commitOf('a/b', 'main')).rejects.toThrow(
      /127\.0\.0\.1:1\/proxy\/api\/datasets\/a\/b\/revision\/main: not what a hub answers/,
    );
  });
});

describe('the token', () => {
  test('is sent to the hub with every request, but not to the address that the hub redirects to', async () => {
    await download({ token: 'hf_secret' });
    const seen = (of: 'hub' | 'storage') =>
      new Set(server.requests.filter((each) => each.server === of).map(({ headers }) => headers.authorization));
    expect(seen('hub')).toEqual(new Set(['Bearer hf_secret']));
    expect(seen('storage')).toEqual(new Set([undefined]));
  });

  test('is never sent unencrypted over a network', () => {
    const options = { sleep, random: () => 1, note, fetch, token: 'hf_secret', kind: 'dataset' as const };
    expect(() => new Hub({ ...options, endpoint: 'http://hub.example' })).toThrow(
      'would go to http://hub.example unencrypted',
    );
    expect(() => new Hub({ ...options, endpoint: 'https://hub.example' })).not.toThrow();
    expect(() => new Hub({ ...options, endpoint: 'hub.example' })).toThrow('"hub.example" is no http or https address');
  });

  test('does not appear in any message, and neither does the signature of a storage address', async () => {
    server.faults.set(
      TRAIN,
      Array.from({ length: 6 }, () => ({ status: 500 })),
    );
    const failure = await download({ token: 'hf_secret' }).catch((error: Error) => error);
    expect(`${failure} ${note.mock.calls}`).not.toMatch(/secret/);
  });
});

test('an unreadable lock file is an error and does not start a new download', async () => {
  await writeFile(path.join(dir, 'dataset.lock.json'), '{"repo": "someone/pairs"}');
  await expect(download()).rejects.toThrow(/dataset\.lock\.json: .*; delete it to fetch the data set anew/);
  expect(server.requests).toEqual([]);
});
