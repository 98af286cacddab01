/** Log-probabilities in the shape of OpenAI's older completions. */
import type { CompletionLogprobs } from '#shared/api/completion-answer.ts';
import type { EchoedPrompt, TokenLogprob } from '#shared/protocol/token-logprob.ts';
import { toOpenAi } from './chat-logprobs.ts';

/**
 * The lists of one choice, piece by piece: each piece says where its tokens begin in the text so
 * far.
 *
 * @param top how many of the likeliest tokens the client wants
 */
export function completionLogprobs({ top }: { top: number }) {
  const decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });
  let offset = 0;

  return {
    /** The prompt. Its text may begin with less than its tokens say. */
    echo({ text, logprobs = [] }: EchoedPrompt): CompletionLogprobs {
      const lists = listed(logprobs, { isPrompt: true });
      offset = lengthOf(text);
      return lists;
    },
    tokens: (tokens: readonly TokenLogprob[]): CompletionLogprobs => listed(tokens, { isPrompt: false }),
  };

  function listed(tokens: readonly TokenLogprob[], { isPrompt }: { isPrompt: boolean }): CompletionLogprobs {
    const offsets: number[] = [];
    for (const { bytes } of tokens) {
      offsets.push(offset);
      offset += lengthOf(decoder.decode(Uint8Array.from(bytes ?? []), { stream: true }));
    }
    return {
      tokens: tokens.map(({ bytes }) => written(bytes)),
      token_logprobs: tokens.map(({ lp }, i) => (isPrompt && i === 0 ? null : toOpenAi(lp))),
      top_logprobs: tokens.map((token, i) => (isPrompt && i === 0 ? null : likeliest(token))),
      text_offset: offsets,
    };
  }

  function likeliest({ bytes, lp, top: rivals }: TokenLogprob): Record<string, number> {
    const all = [...rivals.slice(0, top), { bytes, lp }];
    return Object.fromEntries(all.map((rival) => [written(rival.bytes), toOpenAi(rival.lp)]));
  }
}

export function joinLogprobs(pieces: readonly CompletionLogprobs[]): CompletionLogprobs {
  return {
    tokens: pieces.flatMap(({ tokens }) => tokens),
    token_logprobs: pieces.flatMap(({ token_logprobs }) => token_logprobs),
    top_logprobs: pieces.flatMap(({ top_logprobs }) => top_logprobs),
    text_offset: pieces.flatMap(({ text_offset }) => text_offset),
  };
}

/** As OpenAI writes a token: its text, or its bytes if they are part of a character. */
function written(bytes: readonly number[] | null): string {
  if (bytes === null) return '';
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
  } catch {
    return `bytes:${bytes.map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
  }
}

/** In Unicode characters, as Python counts. */
const lengthOf = (text: string) => [...text].length;
