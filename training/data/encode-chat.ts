/** Dialogues as token rows, by the bundle's own chat template, so that what is trained is what is served. */

import type { RenderChat } from '#gpu-backend/model/chat-template.ts';
import type { BundleTokenizer } from '#gpu-backend/model/tokenizer.ts';
import type { Message } from '#shared/protocol/generate.ts';

/** A row of n tokens predicts its last n - 1: `weights[i]` counts the prediction of `ids[i + 1]`. */
export type TokenRow = { ids: Uint16Array; weights: Float32Array };

export type ChatEncoder = { tokenizer: BundleTokenizer; renderChat: RenderChat; eosId: number };

/** `prompt` then `answer` then the end token; the loss counts the answer fully and the prompt by `promptWeight`. */
export function encodeChat(
  { prompt, answer }: { prompt: readonly Message[]; answer: string },
  { tokenizer, renderChat, eosId }: ChatEncoder,
  { promptWeight = 0 }: { promptWeight?: number } = {},
): TokenRow {
  const head = renderChat(prompt);
  const ids = Uint16Array.from([...head, ...tokenizer.encode(answer), eosId]);
  const weights = new Float32Array(ids.length - 1).fill(1);
  weights.fill(promptWeight, 0, head.length - 1);
  return { ids, weights };
}

/** Text without roles, ended by the end token. */
export function encodeText(text: string, { tokenizer, eosId, bosId }: ChatEncoder & { bosId: number }): TokenRow {
  const ids = Uint16Array.from([bosId, ...tokenizer.encode(text), eosId]);
  return { ids, weights: new Float32Array(ids.length - 1).fill(1) };
}
