/**
 * Which added tokens text must never become. Those that are marked as special are not enough:
 * DeepSeek-V3's role tokens are added tokens with `special: false`, and a user who types one must
 * not get it. So a token that the chat template writes is a control token too.
 *
 * Others are text. Gemma, for example, has an added token for each run of line feeds and for each
 * HTML tag.
 */
import { openChatTemplate } from './open-chat-template.ts';

/** Templates put the role between two literals, as in `<|{{ message.role }}|>`. */
const ROLES = ['system', 'user', 'assistant', 'tool', 'developer'];

/** The contents of the control tokens. Throws a BundleError if the source is no template. */
export function controlContents(
  added: readonly { content: string; special: boolean }[],
  chatTemplate: string,
): ReadonlySet<string> {
  const { literals } = openChatTemplate(chatTemplate);
  const isWritten = (content: string) =>
    literals.some((literal) => literal.includes(content)) || isWrittenAround(content, literals);
  return new Set(
    added
      .filter(({ content, special }) => special || (content.trim() !== '' && isWritten(content)))
      .map(({ content }) => content),
  );
}

/** Whether the content is the end of one literal, a role, and the start of another literal. */
function isWrittenAround(content: string, literals: readonly string[]): boolean {
  return ROLES.some((role) => {
    const at = content.indexOf(role);
    if (at === -1 || content === role) return false;
    const [before, behind] = [content.slice(0, at), content.slice(at + role.length)];
    return (
      literals.some((literal) => literal.endsWith(before)) && literals.some((literal) => literal.startsWith(behind))
    );
  });
}
