/**
 * What each row of a request reads: the client's messages, or those together with an expert's own
 * prompt.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { Message } from '#shared/protocol/generate.ts';
import type { RenderChat } from './chat-template.ts';
import { type ExpertPrompts, withPrompt } from './expert-prompt.ts';
import { ExpertRole } from './manifest.ts';

export type RenderedRows = {
  /** The client's messages alone. */
  promptIds: number[];
  /** What an expert with a prompt of its own reads instead. */
  rowPrompts: Partial<Record<ExpertRole, number[]>>;
};

/**
 * Renders the messages once for the client's own tokens and once more for each expert with a
 * prompt. Throws a PlimsollError if the template refuses them. No error shows an expert's text.
 *
 * @param atMost if the client's messages have as many tokens as this, the rows are not rendered:
 *   the request cannot be met anyway
 */
export function renderRows(
  messages: readonly Message[],
  { renderChat, prompts, atMost = Infinity }: { renderChat: RenderChat; prompts: ExpertPrompts; atMost?: number },
): RenderedRows {
  const promptIds = renderChat(messages);
  const rowPrompts: RenderedRows['rowPrompts'] = {};
  if (promptIds.length >= atMost) return { promptIds, rowPrompts };
  for (const role of ExpertRole.options) {
    const prompt = prompts[role];
    if (prompt !== undefined) rowPrompts[role] = renderRow(messages, prompt, renderChat);
  }
  return { promptIds, rowPrompts };
}

/**
 * Some templates leave the system message out of some conversations. Then the expert would be
 * another one than the bundle says, so such a conversation is refused. The template's own words
 * might hold the prompt, so a client gets ours.
 */
function renderRow(messages: readonly Message[], prompt: string, renderChat: RenderChat): number[] {
  try {
    return renderChat(withPrompt(messages, prompt), { mustHold: prompt });
  } catch (cause) {
    const message = 'The chat template refuses these messages together with a system prompt of the model.';
    throw new PlimsollError('invalid_request', message, { param: 'messages', cause });
  }
}
