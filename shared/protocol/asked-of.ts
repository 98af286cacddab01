/** What a client's request asks of backends: one chat, or each of several plain prompts. */
import { parseChatRequest } from '#shared/api/chat-request.ts';
import {
  type CompletionRequest,
  type OnePrompt,
  parseCompletionRequest,
  promptsOf,
} from '#shared/api/completion-request.ts';
import type { Asked } from './generate-body.ts';

/**
 * A plain prompt as the pipeline of all requests takes it.
 *
 * @param text what is classified in its place: the prompt's own text
 */
export function askedOfPrompt(
  { best_of: _, logprobs, echo, prompt: _all, ...shared }: CompletionRequest,
  { prompt, text }: { prompt: OnePrompt; text: string },
): Asked {
  return {
    ...shared,
    messages: [{ role: 'user', content: text }],
    prompt,
    ...(logprobs != null && { logprobs: true, top_logprobs: logprobs }),
    ...(echo === true && { echo }),
  };
}

/**
 * All that a request may have asked, for whoever holds a receipt against it. Empty if it is no
 * request. Of token ids, nobody here knows the text.
 */
export function askedIn(body: unknown): Asked[] {
  try {
    const isPlain = typeof body === 'object' && body !== null && 'prompt' in body;
    if (!isPlain) return [parseChatRequest(body)];
    const completion = parseCompletionRequest(body);
    return promptsOf(completion).map((prompt) =>
      askedOfPrompt(completion, { prompt, text: typeof prompt === 'string' ? prompt : '' }),
    );
  } catch {
    return [];
  }
}
