/** What a response says of its request, and what it is before there is an answer. */
import type { ResponseObject } from '#shared/api/responses-answer.ts';
import type { ResponsesRequest } from '#shared/api/responses-request.ts';

/** All that is known before the answer begins. */
export type ResponseBase = Omit<ResponseObject, 'created_at' | 'model'>;

export function responseBase(request: ResponsesRequest, { id, store }: { id: string; store: boolean }): ResponseBase {
  return {
    id,
    object: 'response',
    completed_at: null,
    status: 'in_progress',
    error: null,
    incomplete_details: null,
    output: [],
    store,
    background: false,
    instructions: request.instructions ?? null,
    max_output_tokens: request.max_output_tokens ?? null,
    max_tool_calls: null,
    metadata: request.metadata ?? {},
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    previous_response_id: request.previous_response_id ?? null,
    reasoning: { effort: null, summary: null },
    service_tier: 'default',
    temperature: request.temperature ?? null,
    text: { format: formatOf(request), verbosity: 'medium' },
    tool_choice: request.tool_choice ?? 'auto',
    tools: (request.tools ?? []).map(({ type, name, description, parameters, strict }) => ({
      ...{ type, name, description: description ?? null, parameters: parameters ?? null, strict: strict ?? false },
    })),
    top_logprobs: request.top_logprobs ?? 0,
    top_p: request.top_p ?? null,
    truncation: 'disabled',
    ...labelsOf(request),
  };
}

function formatOf({ text }: ResponsesRequest): ResponseObject['text']['format'] {
  const format = text?.format ?? { type: 'text' as const };
  if (format.type !== 'json_schema') return format;
  const { description, strict, ...said } = format;
  // Other than a tool's, it may not be null in OpenAI's document.
  return { ...said, ...(description != null && { description }), strict: strict ?? false };
}

/** What a client calls its own users and prompts. */
function labelsOf({ user, safety_identifier, prompt_cache_key }: ResponsesRequest) {
  return {
    ...(user != null && { user }),
    ...(safety_identifier != null && { safety_identifier }),
    ...(prompt_cache_key != null && { prompt_cache_key }),
  };
}
