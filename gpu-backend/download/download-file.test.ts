import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, symlink } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { downloadFile } from './download-file.ts';
import { Hub } from './hub.ts';
import { openUrl } from './open-url.ts';
import { HubServer } from './testing/hub-server.ts';

const COMMIT = '1'.repeat(40);
const FILE = 'model.safetensors';
const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * i + (i >> 8)) % 251));
const sha256 = createHash('sha256').update(bytes).digest('hex');
const file = { path: FILE, size: bytes.length, checksum: { sha256 } };

let dir: string;
let target: string;
let server: HubServer;
let arrived: number;
const notes: string[] = [];
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-file-'));
  target = path.join(dir, FILE);
  server = await HubServer.start({ repo: 'a/b', revisions: { main: COMMIT }, files: { [FILE]: { bytes, lfs: true } } });
  server.arrived = () => arrived;
  arrived = 0;
  notes.length = 0;
});
afterEach(async () => {
  await server.stop();
  await rm(dir, { recursive: true });
});

/** Downloads from the hub, as a model. */
function download({ signal, stallMs }: { signal?: AbortSignal; stallMs?: number } = {}): Promise<void> {
  const retrying = { sleep: async () => {}, random: () => 1, note: (line: string) => void notes.push(line), signal };
  const hub = new Hub({ ...retrying, endpoint: server.endpoint, token: null, kind: 'model', fetch, stallMs });
  const onBytes = (count: number) => {
    arrived = count;
  };
  return downloadFile(file, (headers) => hub.open('a/b', COMMIT, FILE, headers), { target, onBytes, retrying });
}

test('a server that falls silent is asked again for the rest', async () => {
  server.faults.set(FILE, [{ silentAfter: 20_000 }]);
  // On a busy machine, a server that is well may be silent for long.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const going = download({ stallMs: 400 });
  await expect.poll(() => [arrived, vi.getTimerCount()]).toEqual([20_000, 1]);
  await vi.advanceTimersByTimeAsync(400);
  await going;
  expect((await readFile(target)).equals(bytes)).toBe(true);
  const ranges = server.requestsFor(FILE).map(({ headers }) => headers.range);
  expect(ranges.filter((range) => range !== undefined)).toContain('bytes=20000-');
  expect(notes[0]).toMatch(/^model\.safetensors: the connection broke off; trying again/);
});

test('a server that never answers is an error after six attempts', async () => {
  const silent = createServer(() => {});
  await new Promise<void>((listening) => silent.listen(0, '127.0.0.1', listening));
  onTestFinished(() => silent.closeAllConnections());
  // The cast is safe: a server on a port has an AddressInfo.
  const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/m.gguf?key=secret`;
  const retrying = { sleep: async () => {}, random: () => 1, note: () => {} };
  const request = openUrl(url, { fetch, stallMs: 20 });
  const failure = await downloadFile(file, request, { target, onBytes: () => {}, retrying }).catch(String);
  expect(failure).toMatch(/127\.0\.0\.1:\d+\/m\.gguf: nothing came for 0\.02 s \(6 attempts\)$/);
});

describe('a signal', () => {
  test('ends the download with its reason, and the next one goes on from there', async () => {
    server.faults.set(FILE, [{ silentAfter: 20_000 }]);
    const stop = new AbortController();
    const going = download({ signal: stop.signal });
    const ended = expect(going).rejects.toThrow('enough');
    await expect.poll(() => arrived).toBe(20_000);
    stop.abort(new Error('enough'));
    await ended;
    expect((await stat(`${target}.part`)).size).toBe(20_000);
    await download();
    expect((await readFile(target)).equals(bytes)).toBe(true);
    expect(await readdir(dir)).toEqual([FILE]);
  });

  test('that is there already costs no request', async () => {
    await expect(download({ signal: AbortSignal.abort(new Error('too late')) })).rejects.toThrow('too late');
    expect(server.requests).toEqual([]);
  });
});

describe('an address that is no hub', () => {
  const fromUrl = (wanted = file) => {
    const retrying = { sleep: async () => {}, random: () => 1, note: () => {} };
    const url = `${server.endpoint}/a/b/resolve/${COMMIT}/${FILE}`;
    return downloadFile(wanted, openUrl(url, { fetch }), { target, onBytes: () => {}, retrying });
  };

  test('gives the file, through redirects', async () => {
    await fromUrl();
    expect((await readFile(target)).equals(bytes)).toBe(true);
  });

  test('with another length is an error before any byte is kept', async () => {
    const wanted = { ...file, size: file.size + 1 };
    await expect(fromUrl(wanted)).rejects.toThrow(`${FILE}: the server has 300000 bytes, wanted 300001`);
    expect(await readdir(dir)).toEqual([]);
  });

  test('with other bytes is an error that has both checksums', async () => {
    const wanted = { ...file, checksum: { sha256: 'e'.repeat(64) } };
    await expect(fromUrl(wanted)).rejects.toThrow(`wrong checksum: ${sha256} instead of ${'e'.repeat(64)}`);
    expect(await readdir(dir)).toEqual([]);
  });
});

test.skipIf(process.platform !== 'linux')('a full disk is an error that names the file', async () => {
  // The only file that is full without filling a disk. It stands in for the part of a download.
  const full = { ...file, path: 'full' };
  const retrying = { sleep: async () => {}, random: () => 1, note: () => {} };
  const request = async () => {
    await symlink('/dev/full', `${target}.part`);
    return { response: new Response(bytes), statedEtag: null };
  };
  await expect(downloadFile(full, request, { target, onBytes: () => {}, retrying })).rejects.toThrow(
    `${target}.part cannot be written: ENOSPC`,
  );
});
