import type { DrawKey } from '#shared/gate/index.ts';
import type { Directive } from '#shared/protocol/directive.ts';
import type { GenerateRequest } from '#shared/protocol/generate.ts';
import { requestedSampling } from '#shared/protocol/requested-sampling.ts';
import type { AnswerState } from '../engine/answer-state.ts';
import type { EngineRequest } from '../engine/engine.ts';
import type { EncodedPrompt } from './encode-prompt.ts';

/**
 * What the engine is asked: the client's parameters, under the directive's line.
 *
 * @param prompt the request's messages as token ids, and which of them are the operator's
 * @param keys a draw key for each answer, in order
 * @param resume where the answer goes on, if another backend began it
 */
export function engineRequest(
  request: GenerateRequest,
  {
    directive,
    prompt: { looked = [], ...prompt },
    keys: [key, ...moreKeys],
    resume = null,
  }: {
    directive: Pick<Directive, 'tenant' | 'line' | 'second_look'>;
    prompt: EncodedPrompt;
    keys: readonly [DrawKey, ...DrawKey[]];
    resume?: AnswerState | null;
  },
): EngineRequest {
  return {
    tenant: directive.tenant,
    ...prompt,
    maxTokens: request.max_tokens,
    minTokens: request.min_tokens,
    ignoresEnd: request.ignore_eos,
    stop: request.stop,
    sampling: { key, ...requestedSampling(request) },
    moreKeys,
    ...(request.logprobs && { topLogprobs: request.top_logprobs }),
    expertLogprobs: request.expert_logprobs,
    echo: request.echo,
    line: directive.line,
    ...(resume && { resume }),
    ...(directive.second_look && { secondLook: { ...directive.second_look, messages: looked } }),
  };
}
