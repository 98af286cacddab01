/**
 * Turns messages into token ids with the bundle's Jinja template, so that no message can contain a
 * control token.
 *
 * A rendered template is one string: in it, the template's own `<|end|>` looks just like a user's.
 * So we render it in a way that remembers who wrote each character (`jinja/`). What the template
 * sees is the plain text of the messages, and what it writes is what Jinja would write. Only where
 * the template wrote the whole of `<|end|>` do we take it for a token.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { leadingSystem } from '#shared/protocol/leading-system.ts';
import { BundleError } from './bundle-error.ts';
import { Text } from './jinja/text.ts';
import { Dict, List } from './jinja/values.ts';
import { type MessageSpan, messageSpans, type Piece } from './message-spans.ts';
import { openChatTemplate } from './open-chat-template.ts';
import type { BundleTokenizer } from './tokenizer.ts';

const FILE = 'chat_template.jinja';

/** How long a rendered text may be: this, and so much for each character of the messages. */
const MOST_CHARACTERS = 1_000_000;
const MOST_CHARACTERS_EACH = 8;

const escapeRegex = (text: string) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');

export type RenderOptions = {
  addGenerationPrompt?: boolean;
  /**
   * An expert's own prompt, with which the last system message that the chat begins with ends. The
   * template must write it as it is, else the render throws.
   */
  ownPrompt?: string;
};

export type RenderChat = (messages: readonly Message[], options?: RenderOptions) => number[];

/** The same, and where each message went. The own prompt is a text by itself, see `MessageSpan`. */
export type ReadChat = (
  messages: readonly Message[],
  options?: RenderOptions,
) => { ids: number[]; spans: MessageSpan[] };

type ChatOptions = { tokenizer: BundleTokenizer; bosToken: string | null; eosToken: string };

export function compileChatTemplate(source: string, options: ChatOptions): RenderChat {
  return compileChat(source, options).renderChat;
}

export function compileChat(
  source: string,
  { tokenizer, bosToken, eosToken }: ChatOptions,
): { renderChat: RenderChat; readChat: ReadChat } {
  const template = openChatTemplate(source);
  const contents = [...tokenizer.controls.keys()].sort((a, b) => b.length - a.length);
  const controlPattern = new RegExp(`(${contents.map(escapeRegex).join('|')})`);

  /**
   * Templates call `raise_exception` for what they cannot express, such as a system message or two
   * user messages in a row.
   */
  const renderText = (
    messages: readonly Message[],
    { addGenerationPrompt = true, ownPrompt = '' }: RenderOptions,
  ): Text => {
    const given = messages.reduce((sum, { content }) => sum + content.length, 0);
    const leading = ownPrompt === '' ? null : leadingSystem(messages) - 1;
    const variables = {
      messages: new List(
        messages.map(({ role, content }, i) => {
          const text =
            i === leading ? beforeOwn(content, { ownPrompt, number: i, own: messages.length }) : Text.given(content, i);
          return Dict.of({ role: Text.written(role), content: text });
        }),
      ),
      add_generation_prompt: addGenerationPrompt,
      bos_token: Text.written(bosToken ?? ''),
      eos_token: Text.written(eosToken),
      // Transformers always sets these two.
      tools: null,
      documents: null,
    };
    try {
      const text = template.render(variables, { given });
      const { length } = text.string;
      const most = MOST_CHARACTERS + MOST_CHARACTERS_EACH * given;
      if (length > most) throw new Error(`it makes ${length} characters of ${given}, wanted at most ${most}`);
      if (!text.string.includes(ownPrompt)) throw new Error('it leaves out what must be read');
      return text;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new PlimsollError('invalid_request', `The chat template refuses these messages: ${reason}`, {
        param: 'messages',
        cause,
      });
    }
  };

  const piecesOf = (messages: readonly Message[], options: RenderOptions = {}): Piece[] =>
    [...renderText(messages, options).stretches()].flatMap(({ text, writer }): Piece[] =>
      // With a capture group, split() alternates: text, control token, text, control token, text.
      writer === 'template' && contents.length > 0
        ? text
            .split(controlPattern)
            .map((piece, i) => (i % 2 === 1 ? tokenizer.controls.get(piece)! : { text: piece, writer }))
        : [{ text, writer }],
    );
  const encode = (pieces: readonly Piece[]) =>
    tokenizer.encodeParts(pieces.map((piece) => (typeof piece === 'number' ? piece : piece.text)));
  const renderChat: RenderChat = (messages, options) => encode(piecesOf(messages, options));
  const readChat: ReadChat = (messages, options) => {
    const pieces = piecesOf(messages, options);
    const ids = encode(pieces);
    return { ids, spans: messageSpans(pieces, ids, tokenizer) };
  };

  let ids: number[];
  try {
    ids = renderChat([{ role: 'user', content: 'a' }]);
  } catch (cause) {
    throw new BundleError(FILE, `cannot render a single user message: ${String(cause)}`, { cause });
  }
  if (ids.length === 0) throw new BundleError(FILE, 'renders a single user message as nothing');
  return { renderChat, readChat };
}

/** A message that ends with an expert's own prompt: two texts, by two writers. */
function beforeOwn(
  content: string,
  { ownPrompt, number, own }: { ownPrompt: string; number: number; own: number },
): Text {
  if (!content.endsWith(ownPrompt)) throw new Error('the system message does not end with the own prompt');
  const client = content.slice(0, content.length - ownPrompt.length);
  return Text.join([Text.given(client, number), Text.given(ownPrompt, own)]);
}
