/** Which prompts count as the same one. */
import type { ChatRequest } from '#shared/api/chat-request.ts';
import { textOfMessage } from '#shared/protocol/prompt-texts.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';

/** Zero-width spaces, soft hyphens, marks of direction and the like. */
const UNSEEN = /[\p{Default_Ignorable_Code_Point}\p{Cf}]/gu;

/**
 * SHA-256, in hex, of a prompt as a reader sees it. Capitals, white space and characters that
 * nobody sees do not make another prompt. Neither do the seed and the temperature, or every try
 * would be the first.
 */
export async function promptDigest(messages: ChatRequest['messages']): Promise<string> {
  const seen = messages.map((message) => [
    message.role,
    textOfMessage(message).normalize('NFKC').replace(UNSEEN, '').toLowerCase().replace(/\s+/gu, ' ').trim(),
  ]);
  return sha256Hex(JSON.stringify(seen));
}
