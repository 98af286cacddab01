import type { RequestedSampling } from '#shared/answer/answer-sampling.ts';
import type { GenerateRequest } from './generate.ts';

/** How a request wants its answer drawn. */
export function requestedSampling(request: GenerateRequest): RequestedSampling {
  return {
    temperature: request.temperature,
    topP: request.top_p,
    topK: request.top_k,
    minP: request.min_p,
    presencePenalty: request.presence_penalty,
    frequencyPenalty: request.frequency_penalty,
    repetitionPenalty: request.repetition_penalty,
    logitBias: new Map(Object.entries(request.logit_bias).map(([id, nats]) => [Number(id), nats])),
    ...(request.grammar && { grammar: request.grammar }),
    ...(request.allowed_token_ids && { allowedIds: request.allowed_token_ids }),
  };
}
