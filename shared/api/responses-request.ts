/**
 * OpenAI's request for a response. It becomes a chat request, and that one is parsed again by the
 * chat route's own schema. So here are only the fields that the two do not share by name and form;
 * what may shape an answer is checked there.
 */
import * as z from 'zod';
import { MAX_MESSAGES } from './chat-messages.ts';
import { PlimsollError } from './errors.ts';
import { ignoredFields } from './ignored-fields.ts';
import { ignoredInside } from './inner-fields.ts';
import { describeFound, parseRequest } from './invalid-request.ts';
import { RequestExtension } from './plimsoll-extension.ts';
import { INSIDE_RESPONSES } from './responses-inner-fields.ts';
import { repaired, wellFormed } from './well-formed.ts';

/** What a client may want to have beside the answer. Here only log-probabilities can be had. */
const INCLUDABLE = [
  'message.output_text.logprobs',
  'reasoning.encrypted_content',
  'file_search_call.results',
  'web_search_call.results',
  'web_search_call.action.sources',
  'message.input_image.image_url',
  'computer_call_output.output.image_url',
  'code_interpreter_call.outputs',
] as const;

const Schema = z.record(z.string(), z.unknown());

export const FunctionTool = z.object({
  type: z.literal('function'),
  name: wellFormed.min(1),
  description: wellFormed.nullish(),
  parameters: Schema.nullish(),
  strict: z.boolean().nullish(),
});
export type FunctionTool = z.infer<typeof FunctionTool>;

const named = z.object({ type: z.literal('function'), name: wellFormed.min(1) });
const ToolChoice = z.union([
  z.enum(['none', 'auto', 'required']),
  named,
  z.object({ type: z.literal('allowed_tools'), mode: z.enum(['auto', 'required']), tools: z.array(named).min(1) }),
]);
export type ToolChoice = z.infer<typeof ToolChoice>;

const TextFormat = z.union([
  z.object({ type: z.enum(['text', 'json_object']) }),
  z.object({
    type: z.literal('json_schema'),
    name: wellFormed.min(1),
    description: wellFormed.nullish(),
    schema: Schema,
    strict: z.boolean().nullish(),
  }),
]);
export type TextFormat = z.infer<typeof TextFormat>;

/** OpenAI's bounds. */
const Metadata = z
  .record(z.string().max(64), z.string().max(512))
  .refine((pairs) => Object.keys(pairs).length <= 16, { error: 'at most 16 pairs' });

const label = z.string().max(512);

export const ResponsesRequest = z.object({
  model: wellFormed.min(1),
  /** The items are read one by one: workers/responses/read-items.ts. */
  input: z.union([repaired, z.array(z.looseObject({})).min(1).max(MAX_MESSAGES)]),
  instructions: repaired.nullish(),
  previous_response_id: label.nullish(),
  store: z.boolean().nullish(),
  max_output_tokens: z.int().min(1).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  stream: z.boolean().nullish(),
  text: z.object({ format: TextFormat.nullish(), verbosity: z.enum(['low', 'medium', 'high']).nullish() }).nullish(),
  tools: z.array(FunctionTool).nullish(),
  tool_choice: ToolChoice.nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  include: z.array(z.enum(INCLUDABLE)).nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  metadata: Metadata.nullish(),
  user: label.nullish(),
  safety_identifier: label.nullish(),
  prompt_cache_key: label.nullish(),
  plimsoll: RequestExtension.nullish(),
});
export type ResponsesRequest = z.infer<typeof ResponsesRequest>;

/** Parameters of the chat API that have the same name and meaning here, where OpenAI has none. */
export const ALSO_CHAT = [
  'seed',
  'stop',
  'top_k',
  'min_p',
  'presence_penalty',
  'frequency_penalty',
  'repetition_penalty',
  'logit_bias',
  'min_tokens',
  'ignore_eos',
  'allowed_token_ids',
] as const;

/** What a client of the chat API may write by mistake, and what it is called here. */
const CALLED_HERE: Record<string, string> = {
  messages: 'input',
  max_tokens: 'max_output_tokens',
  max_completion_tokens: 'max_output_tokens',
  response_format: 'text.format',
  reasoning_effort: 'reasoning.effort',
  verbosity: 'text.verbosity',
  functions: 'tools',
  function_call: 'tool_choice',
  logprobs: 'include',
};

type Rule = { asksForNothing: (value: unknown) => boolean; expected: string };
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
const leftOut: Rule = { asksForNothing: () => false, expected: 'the field left out' };
const only = (...neutral: unknown[]): Rule => ({
  asksForNothing: (value) => neutral.includes(value),
  expected: neutral.map((each) => JSON.stringify(each)).join(' or '),
});
const empty: Rule = {
  asksForNothing: (value) => isObject(value) && Object.keys(value).length === 0,
  expected: 'an empty array',
};

/** What would change the answer and cannot be honoured. Null asks for nothing. */
const UNSUPPORTED: Record<string, Rule> = {
  background: only(false),
  conversation: leftOut,
  prompt: leftOut,
  truncation: only('disabled'),
  context_management: empty,
  moderation: leftOut,
  image: leftOut,
  modalities: {
    asksForNothing: (value) => Array.isArray(value) && value.every((each) => each === 'text'),
    expected: '["text"]',
  },
  audio: leftOut,
  n: only(1),
  best_of: only(1),
};
/** The same, inside of an object. */
const UNSUPPORTED_PARTS: Record<string, Record<string, Rule>> = {
  // The models here do not reason first.
  reasoning: { effort: only('none') },
  text: { verbosity: only('medium') },
};

/** OpenAI's own, which change no answer here: there are no tools of its servers to be counted. */
const HARMLESS = ['max_tool_calls', 'prompt_cache_options', 'access_programs'];

const READ_HERE = [
  ...Object.keys(ResponsesRequest.shape),
  ...Object.keys(UNSUPPORTED),
  ...Object.keys(UNSUPPORTED_PARTS),
  ...ALSO_CHAT,
  ...HARMLESS,
  'stream_options',
];

/**
 * Returns the request, and the names of the fields in it that change nothing about the answer.
 * Throws for a field that nobody knows.
 */
export function parseResponsesRequest(body: unknown): { request: ResponsesRequest; ignored: string[] } {
  if (!isObject(body)) return { request: parseRequest(ResponsesRequest, body), ignored: [] };
  refuseUnsupported(body);
  const ignored = [...ignoredFields(body, { known: READ_HERE }), ...ignoredInside(body, INSIDE_RESPONSES)];
  const harmless = HARMLESS.filter((name) => body[name] !== null && body[name] !== undefined);
  return { request: parseRequest(ResponsesRequest, body), ignored: [...ignored, ...harmless] };
}

function refuseUnsupported(body: Record<string, unknown>): void {
  for (const [name, here] of Object.entries(CALLED_HERE)) {
    if (body[name] === undefined || body[name] === null) continue;
    throw new PlimsollError(
      'unsupported_parameter',
      `'${name}' is a parameter of chat completions. Here it is '${here}'.`,
      {
        param: name,
      },
    );
  }
  for (const [name, rule] of Object.entries(UNSUPPORTED)) refuse(name, body[name], rule);
  for (const [name, parts] of Object.entries(UNSUPPORTED_PARTS)) {
    const value = body[name];
    if (!isObject(value)) continue;
    for (const [part, rule] of Object.entries(parts)) refuse(`${name}.${part}`, value[part], rule);
  }
  const { tools, tool_choice: choice } = body;
  for (const [index, tool] of (Array.isArray(tools) ? tools : []).entries()) {
    const type: unknown = isObject(tool) ? tool.type : undefined;
    if (typeof type === 'string') refuse(`tools[${index}].type`, type, only('function'));
  }
  if (isObject(choice) && typeof choice.type === 'string') {
    refuse('tool_choice.type', choice.type, only('function', 'allowed_tools'));
  }
}

function refuse(param: string, value: unknown, { asksForNothing, expected }: Rule): void {
  if (value === undefined || value === null || asksForNothing(value)) return;
  throw new PlimsollError(
    expected === leftOut.expected ? 'unsupported_parameter' : 'unsupported_value',
    `'${param}' is not supported by this server: expected ${expected}, found ${describeFound(value)}.`,
    { param },
  );
}
