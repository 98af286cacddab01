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
import type { Tool } from '#shared/api/tool-calls.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { leadingSystem } from '#shared/protocol/leading-system.ts';
import { promptCharacters } from '#shared/protocol/prompt-texts.ts';
import { BundleError } from './bundle-error.ts';
import { Text } from './jinja/text.ts';
import { type MessageSpan, messageSpans, type Piece } from './message-spans.ts';
import { openChatTemplate } from './open-chat-template.ts';
import type { BundleTokenizer } from './tokenizer.ts';
import { type Place, plainMessages } from './tools/plain-tools.ts';
import { spoken, type Told } from './tools/spoken.ts';
import { type Knows, templateMessages, templateTools } from './tools/template-tools.ts';
import { readToolFormat, type ToolFormat } from './tools/tool-format.ts';

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
  /** The functions that the model is told of. */
  tools?: readonly Tool[];
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
): { renderChat: RenderChat; readChat: ReadChat; toolFormat: () => ToolFormat } {
  const template = openChatTemplate(source);
  const contents = [...tokenizer.controls.keys()].sort((a, b) => b.length - a.length);
  const controlPattern = new RegExp(`(${contents.map(escapeRegex).join('|')})`);

  /** @param knows null: the template sees plain messages, and the tools in one of them */
  const renderIn = (
    messages: readonly Message[],
    { addGenerationPrompt = true, ownPrompt = '', tools = [] }: RenderOptions,
    { knows, place }: { knows: Knows | null; place: Place },
  ): Text => {
    const given = promptCharacters({ messages, tools });
    const leading = ownPrompt === '' ? null : leadingSystem(messages) - 1;
    const conversation = messages.map((message, number) => {
      const { content: text } = message;
      const own = messages.length;
      const content = number === leading ? beforeOwn(text, { ownPrompt, number, own }) : Text.given(text, number);
      return spoken(message, { number, content });
    });
    const told: Told = { tools, number: messages.length + 1 };
    const plain: Knows = { textArguments: false, singleCalls: false };
    const variables = {
      messages: templateMessages(knows ? conversation : plainMessages(conversation, told, place), knows ?? plain),
      add_generation_prompt: addGenerationPrompt,
      bos_token: Text.written(bosToken ?? ''),
      eos_token: Text.written(eosToken),
      // Transformers always sets these two.
      tools: knows && templateTools(told),
      documents: null,
    };
    const text = template.render(variables, { given });
    const { length } = text.string;
    const most = MOST_CHARACTERS + MOST_CHARACTERS_EACH * given;
    if (length > most) throw new Error(`it makes ${length} characters of ${given}, wanted at most ${most}`);
    if (!text.string.includes(ownPrompt)) throw new Error('it leaves out what must be read');
    return text;
  };

  let known: { format: ToolFormat; place: Place } | undefined;
  const toolsOf = () => {
    known ??= {
      format: readToolFormat(
        (messages, { knows, ...options }) => renderIn(messages, options, { knows, place: 'system' }).string,
      ),
      place: takesSystem((messages) => renderIn(messages, {}, { knows: null, place: 'system' }).string)
        ? 'system'
        : 'user',
    };
    return known;
  };

  /**
   * Templates call `raise_exception` for what they cannot express, such as a system message or two
   * user messages in a row.
   */
  const renderText = (messages: readonly Message[], options: RenderOptions): Text => {
    const { tools = [] } = options;
    const isPlain = tools.length === 0 && messages.every(({ role, tool_calls }) => role !== 'tool' && !tool_calls);
    try {
      if (isPlain) return renderIn(messages, options, { knows: null, place: 'system' });
      const { format, place } = toolsOf();
      return renderIn(messages, options, { knows: format.knows, place });
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
  return { renderChat, readChat, toolFormat: () => toolsOf().format };
}

/** Whether a template shows a system message. */
function takesSystem(render: (messages: readonly Message[]) => string): boolean {
  const content = 'Sample instruction';
  try {
    return render([
      { role: 'system', content },
      { role: 'user', content: 'a' },
    ]).includes(content);
  } catch {
    return false;
  }
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
