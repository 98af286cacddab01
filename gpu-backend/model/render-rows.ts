/**
 * What each row of a request reads: the client's messages, or those together with an expert's own
 * prompt.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { Tool } from '#shared/api/tool-calls.ts';
import type { Message } from '#shared/protocol/generate.ts';
import type { ReadChat, RenderChat, RenderOptions } from './chat-template.ts';
import { type ExpertPrompts, withPrompt } from './expert-prompt.ts';
import { type LookedMessage, lookedMessages } from './looked-messages.ts';
import { ExpertRole } from './manifest.ts';

export type RenderedRows = {
  /** The client's messages alone. */
  promptIds: number[];
  /** What an expert with a prompt of its own reads instead. */
  rowPrompts: Partial<Record<ExpertRole, number[]>>;
  /** What the second look reads of the safety expert's row. Only if asked for. */
  looked?: LookedMessage[];
};

/**
 * Renders the messages once for the client's own tokens and once more for each expert with a
 * prompt. Throws a PlimsollError if the template refuses them. No error shows an expert's text.
 *
 * @param tools that the model is told of
 * @param readChat if given, says what the second look reads
 * @param atMost if the client's messages have as many tokens as this, the rows are not rendered:
 *   the request cannot be met anyway
 */
export function renderRows(
  messages: readonly Message[],
  {
    renderChat,
    readChat,
    prompts,
    tools = [],
    atMost = Infinity,
  }: {
    renderChat: RenderChat;
    readChat?: ReadChat | undefined;
    prompts: ExpertPrompts;
    tools?: readonly Tool[];
    atMost?: number;
  },
): RenderedRows {
  let looked: LookedMessage[] | undefined;
  const readSafety: RenderChat = (rendered, options?: RenderOptions) => {
    if (readChat === undefined) return renderChat(rendered, options);
    const { ids, spans } = readChat(rendered, options);
    looked = lookedMessages(rendered, { spans, length: ids.length });
    return ids;
  };
  const promptIds = (prompts.safety === undefined ? readSafety : renderChat)(messages, { tools });
  const rowPrompts: RenderedRows['rowPrompts'] = {};
  if (promptIds.length >= atMost) return { promptIds, rowPrompts };
  for (const role of ExpertRole.options) {
    const prompt = prompts[role];
    if (prompt === undefined) continue;
    rowPrompts[role] = renderRow(messages, { prompt, tools }, role === 'safety' ? readSafety : renderChat);
  }
  return { promptIds, rowPrompts, ...(looked && { looked }) };
}

/**
 * Some templates leave the system message out of some conversations. Then the expert would be
 * another one than the bundle says, so such a conversation is refused. The template's own words
 * might hold the prompt, so a client gets ours.
 */
function renderRow(
  messages: readonly Message[],
  { prompt, tools }: { prompt: string; tools: readonly Tool[] },
  renderChat: RenderChat,
): number[] {
  try {
    return renderChat(withPrompt(messages, prompt), { ownPrompt: prompt, tools });
  } catch (cause) {
    const message = 'The chat template refuses these messages together with a system prompt of the model.';
    throw new PlimsollError('invalid_request', message, { param: 'messages', cause });
  }
}
