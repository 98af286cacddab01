/** Which backends may be asked about tools, and in which syntax their model writes calls. */
import type { ChatRequest } from '#shared/api/chat-request.ts';
import { offeredTools } from '#shared/api/chat-tools.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import type { ToolSyntax } from '#shared/tools/tool-syntax.ts';
import type { PoolMember } from './pool-member.ts';

type Asked = Pick<ChatRequest, 'model' | 'messages' | 'tools' | 'tool_choice'>;

/** Whether a request is about tools: it offers some, or has called some before. */
function isAboutTools({ messages, ...chat }: Asked): boolean {
  return offeredTools(chat).length > 0 || messages.some(({ role, tool_calls }) => role === 'tool' || tool_calls);
}

/**
 * The syntax of the model's calls; null if the request offers no tools. Throws if no backend of the
 * model takes tools, as far as it has been heard.
 */
export function syntaxOf(members: readonly PoolMember[], chat: Asked): ToolSyntax | null {
  if (!isAboutTools(chat)) return null;
  const serving = members.filter(({ model }) => model === chat.model);
  const able = serving.filter(({ toolSyntax }) => toolSyntax != null);
  const chosen = able.find(({ alive }) => alive) ?? able[0];
  if (chosen?.toolSyntax == null) {
    // Then nobody is asked. Until the model is refused, any syntax will do.
    if (serving.length === 0) return 'hermes';
    throw new PlimsollError('unsupported_value', `'tools' are not supported by the backends of '${chat.model}'.`, {
      param: 'tools',
    });
  }
  return chosen.toolSyntax;
}

/**
 * The backends whose model writes calls in this syntax, and those of other models. The edge reads
 * an answer in one syntax, whoever begins it or goes on.
 */
export function speakingMembers(
  members: readonly PoolMember[],
  { model, syntax }: { model: string; syntax: ToolSyntax | null },
): PoolMember[] {
  if (syntax === null) return [...members];
  return members.filter((member) => member.model !== model || member.toolSyntax === syntax);
}
