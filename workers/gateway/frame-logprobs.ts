/** The log-probabilities that frames carry, without what only a trace may show. */
import type { Frame, TokenFrame } from '#shared/protocol/generate.ts';
import type { EchoedPrompt, TokenLogprob } from '#shared/protocol/token-logprob.ts';

/** Of a drawn token. */
export function toLogprob({
  id,
  bytes = null,
  lp,
  top = [],
}: Pick<TokenFrame, 'id' | 'bytes' | 'lp' | 'top'>): TokenLogprob {
  return { id, bytes, lp, top: top.map(({ id, bytes, lp }) => ({ id, bytes, lp })) };
}

/** Of the prompt. */
export function toEchoed({ text, tokens }: Extract<Frame, { type: 'echo' }>): EchoedPrompt {
  return { text, ...(tokens && { logprobs: tokens.map(toLogprob) }) };
}
