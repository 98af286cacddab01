/** Log-probabilities in the shape of OpenAI's chat answers. */
import type { ChatLogprob, ChatLogprobs } from '#shared/api/token-logprobs.ts';
import type { TokenLogprob } from '#shared/protocol/token-logprob.ts';

/** How OpenAI writes the log-probability of what cannot come. */
const IMPOSSIBLE = -9999;

/** The text of a token alone. One that is part of a character reads as U+FFFD. */
function tokenText(bytes: readonly number[] | null): string {
  return bytes === null ? '' : new TextDecoder().decode(Uint8Array.from(bytes));
}

export const toOpenAi = (lp: number | null): number => lp ?? IMPOSSIBLE;

/** @param top how many of the likeliest tokens the client wants */
export function chatLogprobs(tokens: readonly TokenLogprob[], { top }: { top: number }): ChatLogprobs {
  const likely = ({ bytes, lp }: Pick<TokenLogprob, 'bytes' | 'lp'>) => ({
    token: tokenText(bytes),
    logprob: toOpenAi(lp),
    bytes: bytes === null ? null : [...bytes],
  });
  const content = tokens.map((token): ChatLogprob => {
    return { ...likely(token), top_logprobs: token.top.slice(0, top).map(likely) };
  });
  return { content, refusal: null };
}
