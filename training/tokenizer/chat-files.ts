/** The files that turn messages into tokens: `tokenizer.json`, `tokenizer_config.json`, `chat_template.jinja`. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { compileChatTemplate } from '#gpu-backend/model/chat-template.ts';
import { BundleTokenizer, TokenizerJson } from '#gpu-backend/model/tokenizer.ts';
import type { ChatEncoder } from '../data/encode-chat.ts';

export const CHAT_TOKENS = { pad: '<|pad|>', bos: '<|bos|>', eos: '<|end|>' } as const;

const CHAT_TEMPLATE =
  '{{ bos_token }}{% for message in messages %}<|{{ message.role }}|>{{ message.content }}{{ eos_token }}{% endfor %}' +
  '{% if add_generation_prompt %}<|assistant|>{% endif %}';

const TOKENIZER_CONFIG = {
  tokenizer_class: 'PreTrainedTokenizerFast',
  bos_token: CHAT_TOKENS.bos,
  eos_token: CHAT_TOKENS.eos,
  pad_token: CHAT_TOKENS.pad,
  clean_up_tokenization_spaces: false,
};

export type ChatFiles = { tokenizer: TokenizerJson; tokenizerConfig: typeof TOKENIZER_CONFIG; chatTemplate: string };

export async function writeChatFiles(dir: string, tokenizer: TokenizerJson): Promise<void> {
  await mkdir(dir, { recursive: true });
  const json = (value: object) => `${JSON.stringify(value, null, 1)}\n`;
  await writeFile(path.join(dir, BUNDLE_FILES.tokenizer), json(tokenizer));
  await writeFile(path.join(dir, BUNDLE_FILES.tokenizerConfig), json(TOKENIZER_CONFIG));
  await writeFile(path.join(dir, BUNDLE_FILES.chatTemplate), CHAT_TEMPLATE);
}

export async function readChatFiles(dir: string): Promise<ChatFiles> {
  const tokenizer = TokenizerJson.parse(JSON.parse(await readFile(path.join(dir, BUNDLE_FILES.tokenizer), 'utf8')));
  return { tokenizer, tokenizerConfig: TOKENIZER_CONFIG, chatTemplate: CHAT_TEMPLATE };
}

export type TrainingTokenizer = ChatEncoder & { padId: number; bosId: number; vocabSize: number };

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
  };
}
