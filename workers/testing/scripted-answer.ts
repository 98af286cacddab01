/**
 * What a scripted backend writes: a fixed sentence for each seed, token by token, up to a stop
 * string or the most tokens. It knows nothing of experts, so weights and spending only follow the
 * line.
 */
import type { FinishReason } from '#shared/api/chat-answer.ts';
import type { Directive } from '#shared/protocol/directive.ts';
import type { Frame, GenerateRequest, Seed, TokenFrame } from '#shared/protocol/generate.ts';

/**
 * The sentence for a seed. The anchor's bytes come in two tokens, and the first of them completes
 * no text.
 */
function sentence(seed: Seed): string[] {
  return ['The', ' answer', ' to', ' seed', ` ${seed}`, ' is', ' ', '', '⚓', ' and', ' no', ' more', '.'];
}

export type Script = {
  frames: Iterable<TokenFrame | Extract<Frame, { type: 'text' }>>;
  finishReason: FinishReason;
};

/** The frames of an answer, and how it ends; `endless` begins the sentence again and again. */
export function writeScript(
  directive: Directive,
  asked: GenerateRequest,
  { endless, words = sentence(asked.seed) }: { endless: boolean; words?: readonly string[] | undefined },
): Script {
  if (endless) return { frames: forever(words, directive), finishReason: 'length' };

  const frames: (TokenFrame | Extract<Frame, { type: 'text' }>)[] = [];
  let pending = '';
  for (const [position, word] of words.entries()) {
    if (position === asked.max_tokens) {
      if (pending !== '') frames.push({ type: 'text', text: pending });
      return { frames, finishReason: 'length' };
    }
    pending += word;
    const stopAt = Math.min(...asked.stop.map((stop) => pending.indexOf(stop)).filter((index) => index >= 0));
    if (Number.isFinite(stopAt)) {
      frames.push(tokenFrame(position, pending.slice(0, stopAt), directive));
      return { frames, finishReason: 'stop' };
    }
    const held = longestOpenStop(pending, asked.stop);
    const frame = tokenFrame(position, pending.slice(0, pending.length - held), directive);
    const { id, lp, lp_s, lp_h } = frame;
    const bytes = [...new TextEncoder().encode(word)];
    const top = asked.top_logprobs > 0 ? [{ id, bytes, lp, lp_s, lp_h }] : [];
    frames.push({ ...frame, ...(asked.logprobs && { bytes, top }) });
    pending = pending.slice(pending.length - held);
  }
  if (pending !== '') frames.push({ type: 'text', text: pending });
  return { frames, finishReason: 'stop' };
}

function* forever(words: readonly string[], directive: Directive): Generator<TokenFrame> {
  for (let position = 0; ; position++) yield tokenFrame(position, words[position % words.length] ?? '', directive);
}

/** How many characters at the end of `text` may be the beginning of a stop string. */
function longestOpenStop(text: string, stops: readonly string[]): number {
  for (let length = text.length; length > 0; length--) {
    if (stops.some((stop) => stop.startsWith(text.slice(-length)))) return length;
  }
  return 0;
}

function tokenFrame(position: number, text: string, { line }: Directive): TokenFrame {
  const floor = position < line.opening.tokens ? Math.max(line.floor, line.opening.floor) : line.floor;
  const weight = line.action === 'safety_only' ? 1 : Math.max(floor, Math.min(0.5, line.ceiling));
  const spent = Math.min(line.budget ?? Number.POSITIVE_INFINITY, position * 0.1);
  return { type: 'token', id: 100 + position, text, weight, floor, lp_s: -1.5, lp_h: -0.5, lp: -1, spent };
}
