import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Message } from '#shared/protocol/generate.ts';
import { compileChatTemplate } from '../model/chat-template.ts';
import type { ExpertPrompts } from '../model/expert-prompt.ts';
import { CHAT_TEMPLATE, tinyTokenizerJson } from '../model/fixtures/tiny-bundle.ts';
import { renderRows } from '../model/render-rows.ts';
import { BundleTokenizer, TokenizerJson } from '../model/tokenizer.ts';
import { publicTokensOf, readSystemPrompts } from './public-prefixes.ts';

const tokenizer = new BundleTokenizer(TokenizerJson.parse(tinyTokenizerJson()), {}, CHAT_TEMPLATE);
const compile = (template: string) =>
  compileChatTemplate(template, { tokenizer, bosToken: '<|bos|>', eosToken: '<|end|>' });

/** The public beginning of each row, as text. */
function publicTexts(
  messages: readonly Message[],
  {
    listed = [],
    prompts = {},
    template = CHAT_TEMPLATE,
  }: { listed?: string[]; prompts?: ExpertPrompts; template?: string },
) {
  const head = { renderChat: compile(template), prompts };
  const rows = renderRows(messages, head);
  const tokens = publicTokensOf(listed, head)(messages, rows);
  const text = (ids: readonly number[], count = 0) => tokenizer.decode(ids.slice(0, count));
  return {
    safety: text(rows.rowPrompts.safety ?? rows.promptIds, tokens.safety),
    helpfulness: text(rows.rowPrompts.helpfulness ?? rows.promptIds, tokens.helpfulness),
    layers: text(rows.promptIds, tokens.layers),
    tokens,
  };
}

const system = (content: string): Message => ({ role: 'system', content });
const user = (content: string): Message => ({ role: 'user', content });

test('a listed system prompt is public, up to where the client’s text begins', () => {
  for (const question of ['Hi', 'another', '0', 'a']) {
    expect(publicTexts([system('Be brief.'), user(question)], { listed: ['Be kind.', 'Be brief.'] })).toMatchObject({
      safety: 'Be brief.',
      helpfulness: 'Be brief.',
      layers: 'Be brief.',
    });
  }
});

test('a system prompt that is not exactly a listed one is not public at all', () => {
  for (const content of ['Be brief', 'Be brief. ', 'Be brief. And rude.', 'be brief.', '']) {
    expect(publicTexts([system(content), user('Hi')], { listed: ['Be brief.'] }).tokens).toEqual({});
  }
  const twice = [system('Be brief.'), system('Be rude.'), user('Hi')];
  expect(publicTexts(twice, { listed: ['Be brief.'] }).tokens).toEqual({});
});

describe('an expert’s own prompt', () => {
  const prompts = { safety: 'Be careful.' };

  test('is public where no text of the client’s comes before it', () => {
    expect(publicTexts([user('Hi')], { prompts })).toMatchObject({ safety: 'Be careful.', helpfulness: '' });
    expect(publicTexts([system('Be brief.'), user('Hi')], { prompts, listed: ['Be brief.'] })).toMatchObject({
      safety: 'Be brief.\n\nBe careful.',
      helpfulness: 'Be brief.',
      layers: 'Be brief.',
    });
    expect(publicTexts([system('My own.'), user('Hi')], { prompts }).tokens).toEqual({});
  });

  test('cannot be guessed at: a client that sends it as its own text shares nothing', () => {
    expect(publicTexts([system('Be careful.'), user('Hi')], { prompts }).tokens).toEqual({});
    const after = publicTexts([system('Be brief.'), system('Be careful.'), user('Hi')], {
      prompts,
      listed: ['Be brief.'],
    });
    expect(after.tokens).toEqual({});
  });
});

test('without a system message, what the template writes before the client’s text is public', () => {
  const template = `<|bos|><|system|>You are Tiny.<|end|>${CHAT_TEMPLATE.replace('<|bos|>', '')}`;
  expect(publicTexts([user('Hi')], { template }).safety).toBe('You are Tiny.');
  expect(publicTexts([{ role: 'assistant', content: 'Hi' }], { template }).safety).toBe('You are Tiny.');
});

test('a template that refuses a listed prompt stops the start, and the error names the entry', () => {
  const template = "{% if messages[0].role == 'system' %}{{ raise_exception('no system message') }}{% endif %}<|bos|>a";
  const head = { renderChat: compile(template), prompts: {} };
  expect(() => publicTokensOf(['Be brief.'], head)).toThrow(/public prefixes: entry 0: .*no system message/);
});

describe('the file', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'public-'));
  });
  afterAll(() => rm(dir, { recursive: true }));
  const read = async (text: string) => {
    const file = join(dir, 'prompts.json');
    await writeFile(file, text);
    return readSystemPrompts(file);
  };

  test('is a list of texts', async () => {
    expect(await read('["Be brief.", "Be kind."]')).toEqual(['Be brief.', 'Be kind.']);
    expect(await read('[]')).toEqual([]);
  });

  test.each([
    ['{', /prompts\.json: found no JSON, wanted a list of system prompts/],
    ['{"a": 1}', /prompts\.json: .*array/],
    ['["a", 7]', /prompts\.json: entry 1: .*string/],
    ['["a", ""]', /prompts\.json: entry 1: found an empty text/],
  ])('that holds %s is refused', async (text, message) => {
    await expect(read(text)).rejects.toThrow(message);
  });

  test('that is not there is named', async () => {
    await expect(readSystemPrompts(join(dir, 'none.json'))).rejects.toThrow(/none\.json: cannot be read: ENOENT/);
  });
});
