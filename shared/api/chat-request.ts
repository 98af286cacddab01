/**
 * OpenAI's chat request, with vLLM's parameters. Known fields that we cannot honour are refused by
 * name: an answer without the requested tools would be a wrong answer. So are fields that nobody
 * knows, and those that change nothing are ignored (ignored-fields.ts).
 */
import * as z from 'zod';
import { INSIDE_CHAT } from './chat-inner-fields.ts';
import { linkCalls, MAX_MESSAGES, MESSAGE_FIELDS, RequestMessage } from './chat-messages.ts';
import { LEGACY_FIELDS, refuseLegacyFunctions, Tools } from './chat-tools.ts';
import { PlimsollError } from './errors.ts';
import { generationFields, MOST_TOP_LOGPROBS } from './generation-fields.ts';
import { ignoredFields } from './ignored-fields.ts';
import { ignoredInside } from './inner-fields.ts';
import { parseRequest } from './invalid-request.ts';
import { RequestExtension } from './plimsoll-extension.ts';
import { GuidedJson, ResponseFormat, StructuredOutputs } from './response-format.ts';
import { checkToolChoice, ToolChoice } from './tool-choice.ts';
import { refuseUnsupported, type Unsupported, VLLM_UNSUPPORTED } from './unsupported-fields.ts';
import { refuseOtherParts } from './unsupported-parts.ts';
import { wellFormed } from './well-formed.ts';

export const ChatRequest = z.object({
  model: wellFormed.min(1),
  messages: z.array(RequestMessage).min(1).max(MAX_MESSAGES).transform(linkCalls),
  tools: Tools.nullish(),
  tool_choice: ToolChoice.nullish(),
  /** false: at most one call. */
  parallel_tool_calls: z.boolean().nullish(),
  ...generationFields,
  max_completion_tokens: z.int().min(1).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(MOST_TOP_LOGPROBS).nullish(),
  response_format: ResponseFormat.nullish(),
  // vLLM's, for the same.
  guided_json: GuidedJson.nullish(),
  structured_outputs: StructuredOutputs.nullish(),
  plimsoll: RequestExtension.nullish(),
});
export type ChatRequest = z.infer<typeof ChatRequest>;

/** Fields that we cannot honour. Null and values that ask for nothing are allowed. */
const UNSUPPORTED: Unsupported = {
  modalities: { neutral: [['text']], expected: '["text"]' },
  audio: 'never',
  prediction: 'never',
  web_search_options: 'never',
  moderation: 'never',
  reasoning_effort: { neutral: ['none'], expected: '"none"' },
  reasoning: 'never',
  verbosity: { neutral: ['medium'], expected: '"medium"' },
  best_of: { neutral: [1], expected: '1' },
  echo: { neutral: [false], expected: 'false' },
  suffix: 'never',
  ...VLLM_UNSUPPORTED,
};

/** The same for each message. */
const UNSUPPORTED_IN_MESSAGES: Unsupported = {
  function_call: 'never',
  audio: 'never',
};

const KNOWN = [...Object.keys(ChatRequest.shape), ...Object.keys(UNSUPPORTED), ...LEGACY_FIELDS];
const KNOWN_IN_MESSAGES = [...MESSAGE_FIELDS, ...Object.keys(UNSUPPORTED_IN_MESSAGES)];

/** @returns what the request asks for and does not get, because it changes nothing about answers */
export function ignoredInChat(body: unknown): string[] {
  return [
    ...ignoredFields(body, { known: KNOWN, messageFields: KNOWN_IN_MESSAGES }),
    ...ignoredInside(body, INSIDE_CHAT),
  ];
}

export function parseChatRequest(body: unknown): ChatRequest {
  refuseLegacyFunctions(body);
  refuseUnsupported(body, UNSUPPORTED);
  refuseOtherParts(body, UNSUPPORTED_IN_MESSAGES);
  ignoredInChat(body);
  const chat = parseRequest(ChatRequest, body);
  checkToolChoice(chat);
  checkStreamOptions(chat);
  if ((chat.top_logprobs ?? 0) > 0 && chat.logprobs !== true) {
    throw new PlimsollError('invalid_value', "'top_logprobs' is only allowed when 'logprobs' is true.", {
      param: 'top_logprobs',
    });
  }
  return chat;
}

/** Throws if there are options for a stream, and none was asked for. */
export function checkStreamOptions({ stream, stream_options }: Pick<ChatRequest, 'stream' | 'stream_options'>): void {
  if (stream_options == null || stream === true) return;
  throw new PlimsollError('invalid_value', "'stream_options' is only allowed when 'stream' is true.", {
    param: 'stream_options',
  });
}
