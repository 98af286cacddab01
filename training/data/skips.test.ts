import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { openTokenizer, readChatFiles, writeChatFiles } from '../tokenizer/chat-files.ts';
import { trainBpe } from '../tokenizer/train-bpe.ts';
import { encodePairs } from './encode-pairs.ts';
import type { Preference } from './rows.ts';
import { describeSkips, noSkips } from './skips.ts';

const dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-pairs-'));
writeChatFiles(dir, trainBpe(['how do I bake bread with care'], { vocabSize: 262 }));
const tokenizer = openTokenizer(await readChatFiles(dir));
await rm(dir, { recursive: true });

const pair = (more: Partial<Preference>): Preference => ({
  prompt: [{ role: 'user', content: 'how?' }],
  responses: ['with care', 'with haste'],
  better: 1,
  safer: 0,
  safe: [null, null],
  source: 'a test',
  ...more,
});

test('leaves out rows that teach nothing, and counts each reason separately', () => {
  const rows = [
    pair({}),
    pair({ safer: null }),
    pair({ responses: ['same', ' same\n'] }),
    pair({ responses: ['', 'something'] }),
    pair({ prompt: [{ role: 'user', content: ' ' }] }),
    pair({ prompt: [{ role: 'user', content: 'how do I bake bread '.repeat(40) }] }),
  ];
  const { pairs, skipped } = encodePairs(rows, tokenizer, { dimension: 'safer', contextLength: 64 });
  expect(pairs).toHaveLength(1);
  const wanted = { noVerdict: 1, equalAnswers: 1, emptyAnswer: 1, emptyPrompt: 1, longPrompt: 1 };
  expect(skipped).toEqual({ ...noSkips(), ...wanted });
  expect(describeSkips(skipped)).toBe(
    '1 ties or without a verdict, 1 with an empty prompt, 1 with an empty answer, 1 with equal answers, 1 with a prompt longer than the context',
  );
  expect(describeSkips(noSkips())).toBe('none');
});
