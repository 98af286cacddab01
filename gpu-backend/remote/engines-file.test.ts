import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readEnginesFile, remoteEngines } from './engines-file.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'engines-file-'));
});
afterAll(() => rm(dir, { recursive: true }));

async function read({ url = 'http://10.0.0.5:8000', ...more }: { url?: string; api_key_env?: string } = {}) {
  const file = join(dir, 'engines.json');
  const expert = { engine: 'vllm', urls: [url], model: 'm', ...more };
  await writeFile(file, JSON.stringify({ safety: expert, helpfulness: expert }));
  return readEnginesFile(file);
}

test.each(['http://10.0.0.5:8000', 'https://engines.example/base/'])('takes %s', async (url) => {
  expect((await read({ url })).safety.urls).toEqual([url]);
});

test.each([
  'http://user:hunter2@10.0.0.5:8000',
  'http://hunter2@10.0.0.5:8000',
  'http://:hunter2@10.0.0.5:8000',
  'http://10.0.0.5:8000/?key=hunter2',
  'http://10.0.0.5:8000/#hunter2',
  'http://10.0.0.5:8000/?',
  'http://10.0.0.5:8000/#',
])('refuses %s, names the field and repeats nothing of it', async (url) => {
  const refused = read({ url });
  await expect(refused).rejects.toThrow(/safety\.urls\.0: .*no user, password, query or fragment/);
  await expect(refused).rejects.not.toThrow(/hunter2/);
});

test.each(['hunter2\nmore', 'hunter2\r\n', 'hunter 2', 'hunter2\u00e9', 'hunter2\0'])(
  'a key that no header can carry ends the start, and only its variable is named: %j',
  async (key) => {
    const file = await read({ api_key_env: 'VLLM_KEY' });
    const start = () => remoteEngines(file, { topK: 5, vocabSize: 10, env: { VLLM_KEY: key } });
    expect(start).toThrow(/^VLLM_KEY .*printable ASCII/);
    expect(start).not.toThrow(/hunter/);
  },
);

test('a key of printable ASCII is taken', async () => {
  const file = await read({ api_key_env: 'VLLM_KEY' });
  expect(() => remoteEngines(file, { topK: 5, vocabSize: 10, env: { VLLM_KEY: 'sk-0_~!' } })).not.toThrow();
});

async function readUrls(engine: string, safety: string[], helpfulness: string[]) {
  const file = join(dir, 'urls.json');
  const on = (urls: string[]) => ({ engine, urls, ...(engine === 'vllm' && { model: 'm' }) });
  await writeFile(file, JSON.stringify({ safety: on(safety), helpfulness: on(helpfulness) }));
  return readEnginesFile(file);
}

test.each([
  'http://10.0.0.5:8101',
  'http://10.0.0.5:8101/',
  'http://10.0.0.5:8101//',
  'HTTP://10.0.0.5:8101',
  'http://10.0.0.05:8101',
  'http://10.0.0.5:8101/.',
])('a server of llama.cpp that serves both experts is found as %s', async (url) => {
  const other = 'http://10.0.0.6:8101';
  await expect(readUrls('llamacpp', [other, 'http://10.0.0.5:8101'], [url])).rejects.toThrow(
    `helpfulness.urls: ${url} serves both experts, wanted a server of llama.cpp for each`,
  );
  await expect(readUrls('llamacpp', [other, 'http://10.0.0.5:8101', url], ['http://10.0.0.7:8101'])).rejects.toThrow(
    `safety.urls.2: ${url} is there already`,
  );
  await expect(readUrls('vllm', [other], ['http://10.0.0.5:8101', url])).rejects.toThrow('helpfulness.urls.1: ');
});

test.each([
  ['another port', 'http://10.0.0.5:8102'],
  ['another path', 'http://10.0.0.5:8101/safety'],
  ['another scheme', 'https://10.0.0.5:8101'],
])('%s is another server', async (_, url) => {
  expect((await readUrls('llamacpp', ['http://10.0.0.5:8101'], [url])).helpfulness.urls).toEqual([url]);
});
