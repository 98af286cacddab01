/**
 * Turns messages into token ids with the bundle's Jinja template, so that no message can contain a
 * special token.
 *
 * A rendered template is one string: in it, the template's own `<|end|>` looks just like a user's.
 * So we mark every message before we render it. A mark follows each character that begins a special
 * token. It is a code point that Unicode keeps for internal use and that occurs in none of the
 * messages. In the rendered string, only the template's special tokens are then still whole. We cut
 * the string at them and remove the marks from the pieces in between.
 */
import { Template } from '@huggingface/jinja';
import { PlimsollError } from '#shared/api/errors.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { BundleError } from './bundle-error.ts';
import type { BundleTokenizer } from './tokenizer.ts';

const FILE = 'chat_template.jinja';

/**
 * Unicode's noncharacters U+FDD0 to U+FDEF: valid in a string, never assigned, and not changed by
 * filters such as `trim`.
 */
const MARKS = Array.from({ length: 32 }, (_, i) => String.fromCharCode(0xfdd0 + i));

const escapeRegex = (text: string) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');

export type RenderChat = (messages: readonly Message[], options?: { addGenerationPrompt?: boolean }) => number[];

export function compileChatTemplate(
  source: string,
  { tokenizer, bosToken, eosToken }: { tokenizer: BundleTokenizer; bosToken: string | null; eosToken: string },
): RenderChat {
  let template: Template;
  try {
    template = new Template(source);
  } catch (cause) {
    throw new BundleError(FILE, `not a Jinja template: ${String(cause)}`, { cause });
  }
  const contents = [...tokenizer.specials.keys()].sort((a, b) => b.length - a.length);
  const specialPattern = new RegExp(`(${contents.map(escapeRegex).join('|')})`);
  const firstCharacters = new RegExp(
    [...new Set(contents.map((content) => escapeRegex(Array.from(content)[0]!)))].join('|'),
    'g',
  );

  /**
   * Templates call `raise_exception` for what they cannot express, such as a system message or two
   * user messages in a row.
   */
  const renderMarked = (messages: readonly Message[], addGenerationPrompt: boolean): string => {
    try {
      return template.render({
        messages,
        add_generation_prompt: addGenerationPrompt,
        bos_token: bosToken ?? '',
        eos_token: eosToken,
      });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new PlimsollError('invalid_request', `The chat template refuses these messages: ${reason}`, {
        param: 'messages',
        cause,
      });
    }
  };

  const render: RenderChat = (messages, { addGenerationPrompt = true } = {}) => {
    const mark = MARKS.find((candidate) => messages.every(({ content }) => !content.includes(candidate)));
    if (mark === undefined) {
      throw new PlimsollError('invalid_request', 'The messages contain every noncharacter from U+FDD0 to U+FDEF.', {
        param: 'messages',
      });
    }
    const marked = messages.map((message) => ({
      ...message,
      content: message.content.replace(firstCharacters, (character) => character + mark),
    }));
    const rendered = renderMarked(marked, addGenerationPrompt);
    // With a capture group, split() alternates: text, special, text, special, text.
    return rendered
      .split(specialPattern)
      .flatMap((piece, i) =>
        i % 2 === 1 ? tokenizer.specials.get(piece)! : tokenizer.encode(piece.replaceAll(mark, '')),
      );
  };

  let ids: number[];
  try {
    ids = render([{ role: 'user', content: 'a' }]);
  } catch (cause) {
    throw new BundleError(FILE, `cannot render a single user message: ${String(cause)}`, { cause });
  }
  if (ids.length === 0) throw new BundleError(FILE, 'renders a single user message as nothing');
  return render;
}
