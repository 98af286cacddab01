import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { dialogues } from '../testing/small-talk.ts';
import { baseCorpus, REAL_SOURCES } from './base-corpus.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-corpus-'));
});
afterAll(() => rm(dir, { recursive: true }));
beforeEach(() => void vi.spyOn(process.stderr, 'write').mockReturnValue(true));
afterEach(() => void vi.restoreAllMocks());

/**
 * Writes `short` usable conversations, and in every file also a long one and one without an answer,
 * which the corpus leaves out.
 */
async function writeSources(short: number): Promise<void> {
  for (const [i, { file, layout }] of REAL_SOURCES.entries()) {
    const answers = [...new Array(i === 0 ? short : 0).fill('yes'), 'long '.repeat(100), ''];
    const rows = answers.map((output, row) =>
      layout === 'messages'
        ? {
            messages: [
              { role: 'user', content: 'a' },
              { role: output === '' ? 'user' : 'assistant', content: output },
            ],
          }
        : { instruction: `question ${row}`, output },
    );
    await writeFile(path.join(dir, file), gzipSync(rows.map((row) => JSON.stringify(row)).join('\n')));
  }
}
const corpus = () => baseCorpus({ seed: 1, generated: dialogues(10), realShare: 0.5, dataDir: dir });
const leftOut =
  'left out: 1 without an answer at the end, 3 with an empty answer, 4 longer than the real conversations that are taken';

test('counts the real conversations that it leaves out, and reports if there are too few', async () => {
  await writeSources(260);
  expect((await corpus()).counts).toMatchObject({ 'small talk': 10, [REAL_SOURCES[0]!.name]: 4 });
  expect(process.stderr.write).toHaveBeenCalledWith(
    `corpus: 260 real conversations in ${dir}; ${leftOut}; 4 of the 10 wanted to train on, 256 held out\n`,
  );
});

test('rejects a share of real conversations if none is left to train on', async () => {
  await writeSources(20);
  await expect(corpus()).rejects.toThrow(
    `--real-share 0.5: 20 real conversations in ${dir}; ${leftOut}: none is left to train on`,
  );
});
