/**
 * The files that turn messages into tokens: `tokenizer.json`, `tokenizer_config.json` and
 * `chat_template.jinja`.
 */

import { createHash } from 'node:crypto';
import path from 'node:path';
import { BUNDLE_FILES, readJson } from '#gpu-backend/model/bundle-files.ts';
import { compileChatTemplate } from '#gpu-backend/model/chat-template.ts';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { BundleTokenizer, TokenizerJson } from '#gpu-backend/model/tokenizer.ts';
import type { ChatEncoder } from '../data/encode-chat.ts';
import { replaceFile } from '../run/write-file.ts';

const CHAT_TOKENS = { pad: '<|pad|>', bos: '<|bos|>', eos: '<|end|>' } as const;

const CHAT_TEMPLATE =
  '{{ bos_token }}{% for message in messages %}<|{{ message.role }}|>{{ message.content }}{{ eos_token }}{% endfor %}' +
  '{% if add_generation_prompt %}<|assistant|>{% endif %}';

export const TOKENIZER_CONFIG = {
  tokenizer_class: 'PreTrainedTokenizerFast',
  bos_token: CHAT_TOKENS.bos,
  eos_token: CHAT_TOKENS.eos,
  pad_token: CHAT_TOKENS.pad,
  clean_up_tokenization_spaces: false,
};

export type ChatFiles = { tokenizer: TokenizerJson; tokenizerConfig: typeof TOKENIZER_CONFIG; chatTemplate: string };

/** Writes `tokenizer.json` last, so a folder that has it has all three. */
export function writeChatFiles(dir: string, tokenizer: TokenizerJson): void {
  makeFolder(dir);
  const json = (value: object) => `${JSON.stringify(value, null, 1)}\n`;
  replaceFile(path.join(dir, BUNDLE_FILES.tokenizerConfig), json(TOKENIZER_CONFIG));
  replaceFile(path.join(dir, BUNDLE_FILES.chatTemplate), CHAT_TEMPLATE);
  replaceFile(path.join(dir, BUNDLE_FILES.tokenizer), json(tokenizer));
}

export async function readChatFiles(dir: string): Promise<ChatFiles> {
  const tokenizer = await readJson(dir, BUNDLE_FILES.tokenizer, TokenizerJson).catch((cause: unknown) => {
    throw new Error(`${dir} holds no tokenizer: ${(cause as Error).message}`, { cause });
  });
  return { tokenizer, tokenizerConfig: TOKENIZER_CONFIG, chatTemplate: CHAT_TEMPLATE };
}

export type TrainingTokenizer = ChatEncoder & {
  padId: number;
  bosId: number;
  vocabSize: number;
  /**
   * SHA-256 of the content of `tokenizer.json`, however it is formatted. Weights are useful only
   * with the tokenizer that they were trained with.
   */
  digest: string;
};

export function openTokenizer({ tokenizer: json, tokenizerConfig, chatTemplate }: ChatFiles): TrainingTokenizer {
  const tokenizer = new BundleTokenizer(json, tokenizerConfig);
  const renderChat = compileChatTemplate(chatTemplate, {
    tokenizer,
    bosToken: CHAT_TOKENS.bos,
    eosToken: CHAT_TOKENS.eos,
  });
  const id = (token: string) => tokenizer.specials.get(token)!;
  return {
    tokenizer,
    renderChat,
    vocabSize: tokenizer.vocabSize,
    padId: id(CHAT_TOKENS.pad),
    bosId: id(CHAT_TOKENS.bos),
    eosId: id(CHAT_TOKENS.eos),
    digest: createHash('sha256')
      .update(JSON.stringify(inOrder(json)))
      .digest('hex'),
  };
}

/**
 * Sorts the keys of every object, so that a tokenizer has the same digest even if its file is
 * written differently.
 */
function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, inOrder(inner)]),
  );
}
