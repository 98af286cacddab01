/** Bundles that somebody made to do harm, or that an accident has spoilt. */
import { execFileSync } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { tinyBundle } from './fixtures/tiny-bundle.ts';
import { loadBundle } from './load-bundle.ts';
import { writeBundle } from './write-bundle.ts';

let root: string;
let bundle: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'hostile-bundle-'));
  await writeBundle(join(root, 'sound'), tinyBundle(), { dtype: 'f32' });
});
afterAll(() => rm(root, { recursive: true }));
beforeEach(async () => {
  bundle = join(root, 'bundle');
  await rm(bundle, { recursive: true, force: true });
  await cp(join(root, 'sound'), bundle, { recursive: true });
});

const ADAPTER = 'experts/safety/adapter_config.json';
const WEIGHTS = 'experts/safety/adapter_model.safetensors';
/** Puts a key in front of the others of a JSON file, in JSON. */
async function prepend(file: string, key: string): Promise<void> {
  const text = await readFile(join(bundle, file), 'utf8');
  await writeFile(join(bundle, file), text.replace('{', `{${key},`));
}
async function change(file: string, changes: object): Promise<void> {
  const json: unknown = JSON.parse(await readFile(join(bundle, file), 'utf8'));
  await writeFile(join(bundle, file), JSON.stringify({ ...(json as object), ...changes }));
}

const FILES = [
  'config.json',
  'plimsoll.json',
  'tokenizer.json',
  'chat_template.jinja',
  ADAPTER,
  WEIGHTS,
  'model.safetensors',
];

describe.skipIf(process.platform === 'win32')('what would never end is refused, and not waited for', () => {
  test.each([...FILES, 'generation_config.json'])('a named pipe as %s', async (file) => {
    await rm(join(bundle, file), { force: true });
    execFileSync('mkfifo', [join(bundle, file)]);
    await expect(loadBundle(bundle)).rejects.toThrow(
      `${file}: cannot be read: found no regular file, wanted a readable file`,
    );
  });

  test.each(FILES)('a link from %s to /dev/zero', async (file) => {
    await rm(join(bundle, file), { force: true });
    await symlink('/dev/zero', join(bundle, file));
    await expect(loadBundle(bundle)).rejects.toThrow(`${file}: cannot be read: found no regular`);
  });

  test('a text that is larger than memory', async () => {
    await truncate(join(bundle, 'config.json'), 2 ** 40);
    await expect(loadBundle(bundle)).rejects.toThrow(
      'config.json: found 1099511627776 bytes, wanted at most 268435456',
    );
  });
});

test('a file in place of the folder of experts is named', async () => {
  await rm(join(bundle, 'experts'), { recursive: true });
  await writeFile(join(bundle, 'experts'), '');
  await expect(loadBundle(bundle)).rejects.toThrow(
    /^experts\/safety\/prompt\.txt: found a file where a folder should be, wanted a file or nothing$/,
  );
});

/** `JSON.parse` would take the last. */
test.each([
  ['config.json', 'num_hidden_layers'],
  ['plimsoll.json', 'experts'],
  ['tokenizer.json', 'model'],
  [ADAPTER, 'use_rslora'],
])('%s with the key %s twice is refused', async (file, key) => {
  await prepend(file, `"${key}": 1, "${key}": 2`);
  await expect(loadBundle(bundle)).rejects.toThrow(`${file}: found the key ${key} twice, wanted every key once`);
});

test.each(['config.json', 'plimsoll.json', 'tokenizer.json', ADAPTER])(
  '%s that is nested too deeply is refused',
  async (file) => {
    await prepend(file, `"x": ${'['.repeat(100_000)}${']'.repeat(100_000)}`);
    await expect(loadBundle(bundle)).rejects.toThrow(`${file}: found brackets more than 64 deep`);
  },
);

test('a chat template that is not UTF-8 is refused', async () => {
  await writeFile(join(bundle, 'chat_template.jinja'), Buffer.from('{{ messages[0].content }}\xff', 'latin1'));
  await expect(loadBundle(bundle)).rejects.toThrow('chat_template.jinja: found bytes that are not UTF-8');
});

test('a chat template of megabytes is refused', async () => {
  await writeFile(join(bundle, 'chat_template.jinja'), 'x {{ 1 }}\n'.repeat(200_000));
  await expect(loadBundle(bundle)).rejects.toThrow('chat_template.jinja: found 2000000 bytes, wanted at most 1048576');
});

test('a chat template that loops for ever is refused', async () => {
  const loop = '{% for i in range(100000) %}';
  await writeFile(join(bundle, 'chat_template.jinja'), `${loop}${loop}{% endfor %}{% endfor %}`);
  await expect(loadBundle(bundle)).rejects.toThrow(/^chat_template\.jinja: .*does too much: it ran out of steps$/);
});

test.each([
  ['num_hidden_layers', 1e9, 1024],
  ['vocab_size', 1e9, 2 ** 24],
  ['num_attention_heads', 1e12, 2 ** 24],
])('%s of %d is refused before anything is made of that size', async (key, found, most) => {
  await change('config.json', { [key]: found });
  await expect(loadBundle(bundle)).rejects.toThrow(`config.json: ${key}: found ${found}, wanted at most ${most}`);
});

test.each([['rank_pattern', { rank_pattern: { '((.+)+)+!': 4 }, peft_version: '0.18.0' }]])(
  'a regular expression of an adapter that does not end is stopped: %s',
  async (key, changes) => {
    await change(ADAPTER, changes);
    await expect(loadBundle(bundle)).rejects.toThrow(
      new RegExp(`^${ADAPTER}: .*${key}.*: found a regular expression that does not come to an end, wanted another$`),
    );
  },
);

test.each(['(\\p{L}+)+!'])(
  'a tokenizer with the pattern %s, which clients could make run for ever, is refused',
  async (Regex) => {
    const { pre_tokenizer: own } = JSON.parse(await readFile(join(bundle, 'tokenizer.json'), 'utf8')) as {
      pre_tokenizer: unknown;
    };
    const split = { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false };
    await change('tokenizer.json', { pre_tokenizer: { type: 'Sequence', pretokenizers: [split, own] } });
    await expect(loadBundle(bundle)).rejects.toThrow(
      'tokenizer.json: found a pattern that does not come to an end, wanted one that reads any text',
    );
  },
);

test('added tokens are refused if there are too many, or two with one id', async () => {
  const token = (id: number) => ({ id, content: `<${id}>`, special: true });
  await change('tokenizer.json', { added_tokens: Array.from({ length: 20_001 }, (_, id) => token(id)) });
  await expect(loadBundle(bundle)).rejects.toThrow('added_tokens: found 20001 tokens, wanted at most 20000');
  await change('tokenizer.json', { added_tokens: [token(1), { ...token(1), content: 'x' }] });
  await expect(loadBundle(bundle)).rejects.toThrow('added_tokens: found an id twice, wanted each once');
});
