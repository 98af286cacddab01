/**
 * The files that turn messages into tokens: `tokenizer.json`, `tokenizer_config.json` and
 * `chat_template.jinja`.
 */

import { createHash } from 'node:crypto';
import path from 'node:path';
import * as z from 'zod';
import { BundleError } from '#gpu-backend/model/bundle-error.ts';
import { BUNDLE_FILES, readJson, readText } from '#gpu-backend/model/bundle-files.ts';
import { compileChatTemplate } from '#gpu-backend/model/chat-template.ts';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { BundleTokenizer, TokenizerJson } from '#gpu-backend/model/tokenizer.ts';
import { TokenizerConfig } from '#gpu-backend/model/tokenizer-config.ts';
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

export type ChatFiles = { tokenizer: TokenizerJson; tokenizerConfig: Record<string, unknown>; chatTemplate: string };

/** Writes `tokenizer.json` last, so a folder that has it has all three. */
export function writeChatFiles(dir: string, tokenizer: TokenizerJson): void {
  makeFolder(dir);
  const json = (value: object) => `${JSON.stringify(value, null, 1)}\n`;
  replaceFile(path.join(dir, BUNDLE_FILES.tokenizerConfig), json(TOKENIZER_CONFIG));
  replaceFile(path.join(dir, BUNDLE_FILES.chatTemplate), CHAT_TEMPLATE);
  replaceFile(path.join(dir, BUNDLE_FILES.tokenizer), json(tokenizer));
}

/** Reads the three files of a tokenizer that we learned, or of any bundle. */
export async function readChatFiles(dir: string): Promise<ChatFiles> {
  const read = <T>(file: Promise<T>): Promise<T> =>
    file.catch((cause: unknown) => {
      throw new Error(`${dir} holds no tokenizer: ${(cause as Error).message}`, { cause });
    });
  return {
    tokenizer: await read(readJson(dir, BUNDLE_FILES.tokenizer, TokenizerJson)),
    tokenizerConfig: await read(readJson(dir, BUNDLE_FILES.tokenizerConfig, z.record(z.string(), z.unknown()))),
    chatTemplate: await read(readText(dir, BUNDLE_FILES.chatTemplate)),
  };
}

export type TrainingTokenizer = ChatEncoder & {
  padId: number;
  vocabSize: number;
  /**
   * SHA-256 of the content of `tokenizer.json`, however it is formatted. Weights are useful only
   * with the tokenizer that they were trained with.
   */
  digest: string;
};

export function openTokenizer({ tokenizer: json, tokenizerConfig, chatTemplate }: ChatFiles): TrainingTokenizer {
  const tokenizer = new BundleTokenizer(json, tokenizerConfig, chatTemplate);
  const { bosToken, eosToken, padToken } = namedTokens(tokenizerConfig, tokenizer);
  const renderChat = compileChatTemplate(chatTemplate, { tokenizer, bosToken, eosToken });
  const eosId = tokenizer.specials.get(eosToken)!;
  return {
    tokenizer,
    renderChat,
    vocabSize: tokenizer.vocabSize,
    // Padding carries no weight, so any token will do.
    padId: padToken === null ? eosId : tokenizer.specials.get(padToken)!,
    eosId,
    digest: createHash('sha256')
      .update(JSON.stringify(inOrder(json)))
      .digest('hex'),
  };
}

/** The tokens that `tokenizer_config.json` names. Each must be a special token of the tokenizer. */
function namedTokens(config: Record<string, unknown>, { specials }: BundleTokenizer) {
  const parsed = TokenizerConfig.safeParse(config);
  if (!parsed.success) throw new BundleError(BUNDLE_FILES.tokenizerConfig, z.prettifyError(parsed.error));
  const { bos_token: bosToken = null, eos_token: eosToken = null, pad_token: padToken = null } = parsed.data;
  for (const [field, token] of Object.entries({ bos_token: bosToken, eos_token: eosToken, pad_token: padToken })) {
    if (token !== null && !specials.has(token)) {
      throw new BundleError(BUNDLE_FILES.tokenizerConfig, `${field}: found ${token}, wanted a special token`);
    }
  }
  if (eosToken === null) {
    throw new BundleError(BUNDLE_FILES.tokenizerConfig, 'eos_token: found none, wanted the token that ends an answer');
  }
  return { bosToken, eosToken, padToken };
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
