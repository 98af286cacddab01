import { contextLengthExceeded, fewestTokens } from '#shared/api/context-length.ts';
import type { Tool } from '#shared/api/tool-calls.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { promptBytes } from '#shared/protocol/prompt-texts.ts';
import type { PublicTokens } from '../engine/engine.ts';
import type { BundleHead } from '../model/load-bundle.ts';
import { type RenderedRows, renderRows } from '../model/render-rows.ts';
import type { PublicTokensOf } from './public-prefixes.ts';

/** What each row reads, and how much of its beginning belongs to the operator. */
export type EncodedPrompt = RenderedRows & { publicTokens?: PublicTokens };

/**
 * Turns messages into the token ids that each row reads. Throws a PlimsollError for messages that
 * the model cannot take.
 */
export type EncodePrompt = (messages: readonly Message[], tools?: readonly Tool[]) => EncodedPrompt;

/**
 * The bundle's chat template behind a limit. A text that is too long for the context, whatever its
 * tokens turn out to be, is refused unread: tokenizing a megabyte would hold up everyone else.
 */
export function promptEncoder(
  {
    tokenizer,
    renderChat,
    prompts,
    readChat,
  }: Pick<BundleHead, 'tokenizer' | 'renderChat' | 'prompts'> & Partial<Pick<BundleHead, 'readChat'>>,
  contextLength: number,
  { publicTokensOf = () => ({}) }: { publicTokensOf?: PublicTokensOf } = {},
): EncodePrompt {
  return (messages, tools = []) => {
    const bytes = promptBytes({ messages, tools });
    const fewest = fewestTokens(bytes, tokenizer.maxTokenBytes);
    if (fewest >= contextLength) throw contextLengthExceeded(fewest, contextLength, { atLeast: true });
    const rows = renderRows(messages, { renderChat, readChat, prompts, tools, atMost: contextLength });
    // Tools are the client's text, and may stand where a system prompt would.
    return tools.length > 0 ? rows : { ...rows, publicTokens: publicTokensOf(messages, rows) };
  };
}
