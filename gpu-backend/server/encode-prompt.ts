import { contextLengthExceeded, fewestTokens, utf8Bytes } from '#shared/api/context-length.ts';
import type { Message } from '#shared/protocol/generate.ts';
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
export type EncodePrompt = (messages: readonly Message[]) => EncodedPrompt;

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
  return (messages) => {
    const bytes = utf8Bytes(messages.map(({ content }) => content));
    const fewest = fewestTokens(bytes, tokenizer.maxTokenBytes);
    if (fewest >= contextLength) throw contextLengthExceeded(fewest, contextLength, { atLeast: true });
    const rows = renderRows(messages, { renderChat, readChat, prompts, atMost: contextLength });
    return { ...rows, publicTokens: publicTokensOf(messages, rows) };
  };
}
