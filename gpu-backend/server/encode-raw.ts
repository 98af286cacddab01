/**
 * Token ids of prompts without turns. No template is put around them, so nothing in them is the
 * model's own: no text becomes a control token, and no id may be one. Else a client could write
 * turns that the second look would take for the template's.
 */
import { contextLengthExceeded, fewestTokens, utf8Bytes } from '#shared/api/context-length.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import type { GenerateRequest, RawPrompt } from '#shared/protocol/generate.ts';
import type { BundleHead } from '../model/load-bundle.ts';
import type { EncodedPrompt, EncodePrompt } from './encode-prompt.ts';

/** Both throw a PlimsollError for a prompt that the model cannot take. */
export type EncodeRaw = {
  encode(prompt: RawPrompt): EncodedPrompt;
  /** The text of ids. */
  decode(ids: readonly number[]): string;
};

/** What a request reads. */
export function encodeAsked(
  { messages, tools, prompt }: Pick<GenerateRequest, 'messages' | 'prompt'> & Partial<Pick<GenerateRequest, 'tools'>>,
  { encodePrompt, encodeRaw }: { encodePrompt: EncodePrompt; encodeRaw: EncodeRaw | null },
): EncodedPrompt {
  if (prompt === null) return encodePrompt(messages, tools);
  if (encodeRaw === null) throw unsupported('this backend takes chats only');
  return encodeRaw.encode(prompt);
}

/** @param looks whether the bundle has a probe for a second look */
export function rawEncoder(
  { tokenizer, prompts }: Pick<BundleHead, 'tokenizer' | 'prompts'>,
  { contextLength, looks }: { contextLength: number; looks: boolean },
): EncodeRaw {
  const controls = new Set(tokenizer.controls.values());
  const hasOwnPrompts = Object.values(prompts).some((prompt) => prompt !== undefined);
  // Without it, the safety expert would be another one than the bundle says.
  const refuseOwnPrompts = () => {
    if (hasOwnPrompts) throw unsupported('its experts have system prompts, and only a chat has a place for them');
  };

  function encode(prompt: RawPrompt): EncodedPrompt {
    refuseOwnPrompts();
    const promptIds = typeof prompt === 'string' ? encodeText(prompt) : checkedIds(prompt);
    const { length } = promptIds;
    if (length === 0) throw new PlimsollError('invalid_value', "'prompt' has no token.", { param: 'prompt' });
    const looked = [{ from: 0, to: length, last: length - 1 }];
    return { promptIds, rowPrompts: {}, ...(looks && { looked }) };
  }

  function encodeText(text: string): number[] {
    const fewest = fewestTokens(utf8Bytes([text]), tokenizer.maxTokenBytes);
    if (fewest >= contextLength) throw contextLengthExceeded(fewest, contextLength, { atLeast: true });
    return tokenizer.encodeParts([text]);
  }

  function checkedIds(ids: readonly number[]): number[] {
    if (ids.length >= contextLength) throw contextLengthExceeded(ids.length, contextLength);
    for (const [i, id] of ids.entries()) {
      if (tokenizer.bytesOf(id) !== undefined && !controls.has(id)) continue;
      throw new PlimsollError('invalid_value', `'prompt[${i}]' is ${id}, which is no token of text in this model.`, {
        param: `prompt[${i}]`,
      });
    }
    return [...ids];
  }

  return {
    encode,
    decode(ids) {
      refuseOwnPrompts();
      return tokenizer.decode(checkedIds(ids));
    },
  };
}

function unsupported(why: string): PlimsollError {
  return new PlimsollError('unsupported_value', `This model takes no 'prompt': ${why}.`, { param: 'prompt' });
}
