import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { tinyTokenizerJson } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { TokenizerJson } from '#gpu-backend/model/tokenizer.ts';
import { openTokenizer, readChatFiles, TOKENIZER_CONFIG, writeChatFiles } from './chat-files.ts';
import { trainBpe } from './train-bpe.ts';

const dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-chat-files-'));
const write = (file: string, content: string | object) =>
  writeFile(path.join(dir, file), typeof content === 'string' ? content : JSON.stringify(content));

beforeEach(async () => {
  await write('tokenizer.json', tinyTokenizerJson());
  await write('tokenizer_config.json', { bos_token: null, eos_token: { content: '<|system|>' }, pad_token: '<|end|>' });
  await write('chat_template.jinja', '{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}{% endfor %}');
});
afterAll(() => rm(dir, { recursive: true }));

const open = async () => openTokenizer(await readChatFiles(dir));

test("uses a bundle's own template and special tokens", async () => {
  const { tokenizer, renderChat, eosId, padId } = await open();
  expect([eosId, padId]).toEqual([2, 5]);
  expect(renderChat([{ role: 'user', content: 'a' }])).toEqual([...tokenizer.encode('[user]a'), 2]);
});

test('pads with the end token if the bundle names no other', async () => {
  await write('tokenizer_config.json', { eos_token: '<|end|>' });
  expect(await open()).toMatchObject({ eosId: 5, padId: 5 });
});

test('reads back exactly what it writes', async () => {
  const tokenizer = trainBpe(['some words to learn'], { vocabSize: 262 });
  writeChatFiles(dir, tokenizer);
  const files = await readChatFiles(dir);
  expect(files.tokenizer).toEqual(TokenizerJson.parse(tokenizer));
  // A bundle's digest depends on the order of the keys.
  expect(JSON.stringify(files.tokenizerConfig)).toBe(JSON.stringify(TOKENIZER_CONFIG));
  expect(await open()).toMatchObject({ padId: 0, eosId: 5 });
});

describe('refuses, by file and key,', () => {
  test.each([
    ['no end token', { bos_token: '<|bos|>' }, 'eos_token: found none, wanted the token that ends an answer'],
    ['an unknown end token', { eos_token: '</s>' }, 'eos_token: found </s>, wanted a special token'],
    ['an unknown pad token', { eos_token: '<|end|>', pad_token: 'a' }, 'pad_token: found a, wanted a special token'],
    ['another type', { eos_token: 5 }, /eos_token/],
  ])('%s', async (_, config, message) => {
    await write('tokenizer_config.json', config);
    await expect(open()).rejects.toThrow(/^tokenizer_config\.json/);
    await expect(open()).rejects.toThrow(message);
  });

  test('a folder without a template', async () => {
    await rm(path.join(dir, 'chat_template.jinja'));
    await expect(open()).rejects.toThrow(
      `${dir} holds no tokenizer: chat_template.jinja: cannot be read: found no such file`,
    );
  });
});
