/** Dialogues as token rows, by the bundle's own chat template, so that what is trained is what is served. */

import type { RenderChat } from '#gpu-backend/model/chat-template.ts';
import type { BundleTokenizer } from '#gpu-backend/model/tokenizer.ts';
import type { Message } from '#shared/protocol/generate.ts';

/** A row of n tokens predicts its last n - 1: `weights[i]` counts the prediction of `ids[i + 1]`. */
export type TokenRow = { ids: Uint16Array; weights: Float32Array };

export type ChatEncoder = { tokenizer: BundleTokenizer; renderChat: RenderChat; eosId: number };

export type LossWeights = {
  /** A token of the prompt beside one of the answer. */
  promptWeight?: number;
  /** The answer's first tokens, which decide what it is about. */
  opening?: { tokens: number; weight: number };
};

/** `prompt` then `answer` then the end token; every token of the answer counts 1 unless `opening` says more. */
export function encodeChat(
  { prompt, answer }: { prompt: readonly Message[]; answer: string },
  { tokenizer, renderChat, eosId }: ChatEncoder,
  { promptWeight = 0, opening = { tokens: 0, weight: 1 } }: LossWeights = {},
): TokenRow {
  const head = renderChat(prompt);
  const ids = Uint16Array.from([...head, ...tokenizer.encode(answer), eosId]);
  const weights = new Float32Array(ids.length - 1).fill(1);
  // weights[i] counts the prediction of ids[i + 1]: the answer's first token is predicted at the prompt's last place.
  const answerStart = head.length - 1;
  weights.fill(promptWeight, 0, answerStart);
  weights.fill(opening.weight, answerStart, answerStart + opening.tokens);
  return { ids, weights };
}
