/**
 * Turns dialogues into token rows with the bundle's own chat template, so that we train what we
 * serve.
 */

import type { RenderChat } from '#gpu-backend/model/chat-template.ts';
import type { BundleTokenizer } from '#gpu-backend/model/tokenizer.ts';
import type { Message } from '#shared/protocol/generate.ts';

/**
 * In a row of n tokens, the last n - 1 are predicted. `weights[i]` is the weight of predicting
 * `ids[i + 1]`.
 */
export type TokenRow = { ids: Uint32Array; weights: Float32Array };

export type ChatEncoder = { tokenizer: BundleTokenizer; renderChat: RenderChat; eosId: number };

export type LossWeights = {
  /** The weight of a prompt token. An answer token has weight 1. */
  promptWeight?: number;
  /**
   * Whether the assistant's earlier turns count like the answer, end token included. Preference
   * pairs never set this.
   */
  everyAnswer?: boolean;
  /** The weight of an answer's first tokens, which decide what the answer is about. */
  opening?: { tokens: number; weight: number };
};

/**
 * Encodes `prompt`, then `answer`, then the end token. Every token of the answer has weight 1,
 * unless `opening` sets another. Earlier answers belong to the prompt unless `everyAnswer` is set.
 */
export function encodeChat(
  { prompt, answer }: { prompt: readonly Message[]; answer: string },
  { tokenizer, renderChat, eosId }: ChatEncoder,
  { promptWeight = 0, everyAnswer = false, opening = { tokens: 0, weight: 1 } }: LossWeights = {},
): TokenRow {
  const head = renderChat(prompt);
  const ids = Uint32Array.from([...head, ...tokenizer.encode(answer), eosId]);
  const weights = new Float32Array(ids.length - 1).fill(promptWeight);
  const earlier = everyAnswer ? earlierAnswers(prompt, { head, renderChat }) : [];
  for (const [start, end] of [...earlier, [head.length, ids.length] as const]) {
    // weights[i] is the weight of predicting ids[i + 1], so an answer's first token is predicted at
    // the place before it.
    weights.fill(1, start - 1, end - 1);
    weights.fill(opening.weight, start - 1, Math.min(start - 1 + opening.tokens, end - 1));
  }
  return { ids, weights };
}

/**
 * Finds the assistant's turns in the prompt's tokens. A range runs from the first token of the text
 * to just after the end token.
 */
function earlierAnswers(
  prompt: readonly Message[],
  { head, renderChat }: { head: readonly number[]; renderChat: RenderChat },
): (readonly [number, number])[] {
  return prompt.flatMap(({ role }, i) => {
    if (role !== 'assistant') return [];
    const before = renderChat(prompt.slice(0, i));
    const behind = renderChat(prompt.slice(0, i + 1), { addGenerationPrompt: false });
    // A template may shorten earlier turns, or write them differently from the last turn.
    if ([...before, ...behind.slice(before.length)].some((id, at) => id !== head[at])) {
      throw new Error(
        'this chat template writes an earlier answer otherwise than the last one: it cannot be learned in its place',
      );
    }
    return [[before.length, behind.length] as const];
  });
}
