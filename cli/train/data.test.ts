import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { HubServer } from '#gpu-backend/download/testing/hub-server.ts';
import { PREFERENCE_LAYOUTS } from '#training/data/preferences.ts';
import { KNOWN_DATASETS, type KnownDataset } from '#training/download/known-datasets.ts';
import { data } from './data.ts';

const { repo, revision } = KNOWN_DATASETS['hh-rlhf-harmless'];
const start = '\n\nHuman: hi\n\nAssistant:';
const rows = gzipSync(`${JSON.stringify({ chosen: `${start} hello`, rejected: `${start} no` })}\n`);

let dir: string;
let server: HubServer;
const said: string[] = [];
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-data-'));
  const files = {
    'harmless-base/train.jsonl.gz': { bytes: rows, lfs: true },
    'harmless-base/test.jsonl.gz': { bytes: rows, lfs: true },
    'helpful-base/train.jsonl.gz': { bytes: rows, lfs: true },
  };
  server = await HubServer.start({ repo, revisions: { [revision]: revision }, files });
  said.length = 0;
  vi.spyOn(console, 'log').mockImplementation((line: string) => void said.push(line));
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  vi.stubEnv('HF_TOKEN', '');
  vi.stubEnv('HF_ENDPOINT', server.endpoint);
});
afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await server.stop();
  await rm(dir, { recursive: true });
});
const run = (...args: string[]) => data().exitOverride().parseAsync(args, { from: 'user' });

test('downloads a known set from HF_ENDPOINT, and prints how to train on it', async () => {
  await run('hh-rlhf-harmless', '--out', dir);
  const [summary, usage] = said[0]!.split('\n');
  expect(summary).toContain(`2 files, 0.0 MB in ${path.join(dir, 'hh-rlhf-harmless')}, commit 09be8c5bbc57; MIT`);
  const pairs = /^ {2}plimsoll train expert --role safety --pairs hh-rlhf:(\S+) \.\.\.$/.exec(usage!)![1]!;
  expect(pairs).toMatch(/train\.jsonl\.gz$/);
  expect(await Array.fromAsync(PREFERENCE_LAYOUTS['hh-rlhf'](pairs))).toHaveLength(1);
  const lock = JSON.parse(await readFile(path.join(dir, 'hh-rlhf-harmless/dataset.lock.json'), 'utf8'));
  expect(lock).toMatchObject({ repo, commit: revision });
  expect(server.requestsFor('helpful-base/train.jsonl.gz')).toEqual([]);
});

test('--endpoint overrides HF_ENDPOINT, and HF_TOKEN is sent', async () => {
  vi.stubEnv('HF_ENDPOINT', 'http://127.0.0.1:1');
  vi.stubEnv('HF_TOKEN', 'hf_secret');
  await run('hh-rlhf-harmless', '--out', dir, '--endpoint', `${server.endpoint}/`);
  expect(server.requests[0]!.headers.authorization).toBe('Bearer hf_secret');
});

test('--list says what each set is and what its licence allows, without calling the hub', async () => {
  await run('--list');
  for (const [name, { licence, repo }] of Object.entries(KNOWN_DATASETS)) {
    expect(said[0]).toMatch(new RegExp(`^${name} .*${repo} .*${licence} .*weights: `, 'm'));
  }
  expect(server.requests).toEqual([]);
});

test.each([
  [[], /which data sets\? Known are pku-saferlhf/],
  [['hh-rlhf'], /"hh-rlhf" is no known data set; known are pku-saferlhf, hh-rlhf-harmless/],
])('%j is an error that names the sets', async (args, message) => {
  await expect(run(...args, '--out', dir)).rejects.toThrow(message);
});

describe('the table pins a revision and marks non-commercial licences, for', () => {
  test.each(Object.entries<KnownDataset>(KNOWN_DATASETS))('%s', (_, { revision, licence, weights }) => {
    expect(revision).toMatch(/^([0-9a-f]{40}|refs\/convert\/parquet)$/);
    expect(weights === 'non-commercial').toBe(licence.includes('-NC-'));
  });
});
