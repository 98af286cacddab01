import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Hub } from '../download/hub.ts';
import { checksumOf, type HostedFile, HubServer } from '../download/testing/hub-server.ts';
import { type CacheFolder, cacheFolder } from '../model/cache-folder.ts';
import { parseHubName, pullHubModel } from './pull-hub-model.ts';

const REPO = 'someone/tiny';
const COMMIT = '1'.repeat(40);
const LATER = '2'.repeat(40);
const SHARDS = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;
const json = (value: unknown): HostedFile => ({ bytes: Buffer.from(JSON.stringify(value)), lfs: false });
const weights = (length: number): HostedFile => ({
  bytes: Buffer.from(Array.from({ length }, (_, i) => (i * i + (i >> 8)) % 251)),
  lfs: true,
});
const BESIDE = ['generation_config.json', 'tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja', 'LICENSE'];
const CHECKPOINT = () => ({
  'config.json': json({ model_type: 'llama' }),
  ...Object.fromEntries(BESIDE.map((name) => [name, json(name)])),
  'model.safetensors.index.json': json({ metadata: {}, weight_map: { a: SHARDS[0], b: SHARDS[1], c: SHARDS[0] } }),
  [SHARDS[0]]: weights(60_000),
  [SHARDS[1]]: weights(30_000),
  'consolidated.safetensors': weights(10),
  'pytorch_model.bin': weights(10),
  'onnx/config.json': json({}),
  'README.md': json('read'),
});
const WANTED = ['config.json', ...BESIDE, 'model.safetensors.index.json', ...SHARDS];

let dir: string;
let cache: CacheFolder;
let files: Record<string, HostedFile>;
let revisions: Record<string, string>;
let server: HubServer;
let arrived: Map<string, number>;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-hub-'));
  cache = cacheFolder({ PLIMSOLL_CACHE: dir });
  files = CHECKPOINT();
  revisions = { main: COMMIT };
  server = await HubServer.start({ repo: REPO, revisions, files });
  arrived = new Map();
  server.arrived = (file) => arrived.get(file) ?? 0;
});
afterEach(async () => {
  await server.stop();
  await rm(dir, { recursive: true });
});

function pull(
  revision = 'main',
  { token = null as string | null, signal }: { token?: string | null; signal?: AbortSignal } = {},
) {
  const retrying = { sleep: async () => {}, random: () => 1, note: () => {}, signal };
  const hub = new Hub({ ...retrying, endpoint: server.endpoint, token, kind: 'model', fetch });
  const onFile = ({ path }: { path: string }) => ({
    onBytes: (bytes: number) => void arrived.set(path, bytes),
    done: () => {},
  });
  return pullHubModel({ repo: REPO, revision }, { cache, hub, retrying, onFile });
}
const home = () => path.join(dir, 'hub/someone/tiny');
const replace = (more: Record<string, HostedFile>) => {
  for (const name of Object.keys(files)) delete files[name];
  Object.assign(files, more);
};

describe('a repository', () => {
  test('gives its config, tokenizer, template and shards, and nothing else', async () => {
    const pulled = await pull();
    expect(pulled.dir).toBe(path.join(home(), COMMIT));
    expect((await readdir(pulled.dir)).toSorted()).toEqual([...WANTED, 'hub.lock.json'].toSorted());
    for (const name of WANTED) {
      expect((await readFile(path.join(pulled.dir, name))).equals(files[name]!.bytes)).toBe(true);
    }
    const lock = JSON.parse(await readFile(path.join(pulled.dir, 'hub.lock.json'), 'utf8'));
    expect(lock).toEqual(pulled.lock);
    expect(lock).toMatchObject({ repo: REPO, commit: COMMIT });
    expect(lock.files).toContainEqual({ path: SHARDS[0], size: 60_000, sha256: checksumOf(files[SHARDS[0]]!) });
    expect(await readdir(home())).toEqual([COMMIT]);
  });

  test('with one file of weights gives that', async () => {
    replace({ 'config.json': json({}), 'model.safetensors': weights(500), 'tokenizer.json': json({}) });
    const { lock } = await pull();
    expect(lock.files.map((file) => file.path)).toEqual(
      expect.arrayContaining(['config.json', 'model.safetensors', 'tokenizer.json']),
    );
  });

  test('with an adapter gives the adapter', async () => {
    replace({ 'adapter_config.json': json({}), 'adapter_model.safetensors': weights(500), 'optimizer.pt': weights(5) });
    const { lock } = await pull();
    expect(lock.files.map((file) => file.path)).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
  });

  test.each([
    [
      { 'config.json': json({}), 'pytorch_model.bin': weights(5) },
      /found .*pytorch_model\.bin, wanted config\.json with/,
    ],
    [{}, /found no files, wanted/],
    [
      { 'config.json': json({}), 'model.safetensors.index.json': json({ weight_map: { a: '../../secret' } }) },
      /model\.safetensors\.index\.json names \.\.\/\.\.\/secret, and there is no such file/,
    ],
    [
      { 'config.json': json({}), 'model.safetensors.index.json': json({ weight_map: ['a'] }) },
      /model\.safetensors\.index\.json: .*weight_map/,
    ],
    [
      { 'config.json': json({}), 'model.safetensors.index.json': { bytes: Buffer.from('{"weight'), lfs: false } },
      /model\.safetensors\.index\.json: SyntaxError/,
    ],
  ])('that has no such thing is an error: case %#', async (more, message) => {
    replace(more);
    await expect(pull()).rejects.toThrow(message);
    await expect(readdir(path.join(home(), COMMIT))).rejects.toThrow('ENOENT');
  });
});

describe('a second pull', () => {
  test('of a commit costs no request', async () => {
    const first = await pull(COMMIT);
    server.requests.length = 0;
    expect(await pull(COMMIT)).toEqual(first);
    expect(server.requests).toEqual([]);
  });

  test('of a branch asks where it is now, and keeps both commits', async () => {
    await pull();
    revisions.main = LATER;
    files['config.json'] = json({ model_type: 'mistral' });
    expect((await pull()).dir).toBe(path.join(home(), LATER));
    expect((await readdir(home())).toSorted()).toEqual([COMMIT, LATER]);
  });

  test('mends a damaged file', async () => {
    const { dir } = await pull();
    await writeFile(path.join(dir, SHARDS[0]), Buffer.alloc(60_000));
    await pull(COMMIT);
    expect((await readFile(path.join(dir, SHARDS[0]))).equals(files[SHARDS[0]]!.bytes)).toBe(true);
  });

  test('of a branch without the hub says which commits there are', async () => {
    await pull();
    server.faults.set('api', [{ status: 404 }]);
    await expect(pull()).rejects.toThrow(
      `the hub has no such model, revision or file; the cache has the commits ${COMMIT}`,
    );
  });

  test('at the same time waits, and finds the folder', async () => {
    const [one, other] = await Promise.all([pull(), pull()]);
    expect(other).toEqual(one);
    expect(server.requestsFor(SHARDS[0]).filter((request) => request.server === 'storage')).toHaveLength(1);
  });
});

describe('a fault', () => {
  test('that passes is tried again: cut connections, 429 and 503', async () => {
    server.faults.set('api', [{ status: 503 }]);
    server.faults.set(SHARDS[0], [{ cutAfter: 20_000 }, { status: 429, headers: { 'retry-after': '1' } }]);
    await pull();
    const ranges = server.requestsFor(SHARDS[0]).filter((request) => request.server === 'storage');
    expect(ranges.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=20000-', 'bytes=20000-']);
  });

  test('in a checksum is an error with both, and there is no folder of that commit', async () => {
    const actual = checksumOf(files[SHARDS[1]]!);
    files[SHARDS[1]]!.claimed = 'f'.repeat(64);
    await expect(pull()).rejects.toThrow(`${SHARDS[1]}: wrong checksum: ${actual} instead of ${'f'.repeat(64)}`);
    expect(await readdir(home())).toEqual([`${COMMIT}.new`]);
  });

  test.each([401, 403])('%i tells the user to accept the terms or to set a token', async (status) => {
    server.faults.set('api', [{ status }]);
    await expect(pull()).rejects.toThrow(/there is no such model, or its terms must be accepted .* set HF_TOKEN/);
  });

  test('404 says that there is no such revision', async () => {
    await expect(pull('gone')).rejects.toThrow(/api\/models\/someone\/tiny\/revision\/gone: 404/);
  });

  test('of the hub about a pinned commit is an error', async () => {
    revisions[LATER] = COMMIT;
    await expect(pull(LATER)).rejects.toThrow(`the hub answers with commit ${COMMIT} where ${LATER} was asked for`);
  });

  test('that ends it leaves what it has for the next pull', async () => {
    server.faults.set(SHARDS[0], [{ silentAfter: 20_000 }]);
    const stop = new AbortController();
    const ended = expect(pull('main', { signal: stop.signal })).rejects.toThrow('enough');
    await expect.poll(() => arrived.get(SHARDS[0])).toBe(20_000);
    stop.abort(new Error('enough'));
    await ended;
    expect(await readdir(home())).toEqual([`${COMMIT}.new`]);
    server.requests.length = 0;
    await pull();
    expect(server.requestsFor('config.json')).toEqual([]);
    expect(server.requestsFor(SHARDS[0]).at(-1)?.headers.range).toBe('bytes=20000-');
    expect(await readdir(home())).toEqual([COMMIT]);
  });

  test('of a file list that leads out of the folder is an error', async () => {
    const index = json({ weight_map: { a: '../../../x.safetensors' } });
    replace({ 'config.json': json({}), 'model.safetensors.index.json': index, '../../../x.safetensors': weights(5) });
    await expect(pull()).rejects.toThrow('"../../../x.safetensors" is no path inside a folder');
  });
});

test('the token goes to the hub alone', async () => {
  await pull('main', { token: 'hf_secret' });
  const seen = (of: 'hub' | 'storage') =>
    new Set(server.requests.filter((each) => each.server === of).map(({ headers }) => headers.authorization));
  expect(seen('hub')).toEqual(new Set(['Bearer hf_secret']));
  expect(seen('storage')).toEqual(new Set([undefined]));
});

test.each([
  ['hub:meta-llama/Llama-3.2-1B@main', { repo: 'meta-llama/Llama-3.2-1B', revision: 'main' }],
  ['hub:a/b.c_d@refs/pr/1', { repo: 'a/b.c_d', revision: 'refs/pr/1' }],
  ['smollm2-135m-instruct', null],
])('%s is read as %j', (name, read) => expect(parseHubName(name)).toEqual(read));

test.each(['hub:', 'hub:a/b', 'hub:a@main', 'hub:a/b@', 'hub:../b@main', 'hub:a/..@main', 'hub:a/b/c@main'])(
  '%s is refused',
  (name) => expect(() => parseHubName(name)).toThrow('wanted hub:<owner>/<repository>@<revision>'),
);
