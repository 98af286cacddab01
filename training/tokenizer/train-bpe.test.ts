import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { openTokenizer, readChatFiles, writeChatFiles } from './chat-files.ts';
import { SPECIAL_TOKENS, trainBpe } from './train-bpe.ts';

const TEXTS = Array.from(
  { length: 40 },
  (_, i) => `low lower lowest, newer and newest: wide ${i % 7} widest! naïve café`,
);
const FIRST = SPECIAL_TOKENS.length + 256;

describe('trainBpe', () => {
  test('merges the most frequent pair first', () => {
    // In five times "aab", (a, a) and (a, b) both occur 5 times, and the smaller pair of ids wins.
    const { model } = trainBpe(
      Array.from({ length: 5 }, () => 'aab'),
      { vocabSize: FIRST + 2 },
    );
    expect(model.merges).toEqual([
      ['a', 'a'],
      ['aa', 'b'],
    ]);
  });

  test('gives the same result for the same text, and rejects a text too small to fill the vocabulary', () => {
    expect(trainBpe(TEXTS, { vocabSize: FIRST + 20 })).toEqual(trainBpe(TEXTS, { vocabSize: FIRST + 20 }));
    expect(() => trainBpe(['ab ab'], { vocabSize: 5000 })).toThrow(/fills only \d+ of 5000 tokens/);
  });

  test('writes a file that the library can read, which encodes text in fewer tokens and decodes it unchanged', async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-bpe-'));
    try {
      writeChatFiles(dir, trainBpe(TEXTS, { vocabSize: FIRST + 30 }));
      const { tokenizer, renderChat, eosId } = openTokenizer(await readChatFiles(dir));
      for (const text of [...TEXTS.slice(0, 2), 'emoji 🙂 and\nnew lines', '']) {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }
      expect(tokenizer.encode(TEXTS[0]!).length).toBeLessThan(TEXTS[0]!.length / 2);
      const ids = renderChat([{ role: 'user', content: 'low' }]);
      const id = (token: (typeof SPECIAL_TOKENS)[number]) => SPECIAL_TOKENS.indexOf(token);
      expect(ids).toEqual([id('<|bos|>'), id('<|user|>'), ...tokenizer.encode('low'), eosId, id('<|assistant|>')]);
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});
