/**
 * Refuses requests that can be refused just by looking at them. The client side of an engine checks
 * first, so that a refusal does not wait for a run. The engine checks again, because it trusts no
 * caller.
 */
import { contextLengthExceeded } from '#shared/api/context-length.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { modeUnavailable } from '#shared/api/mode-unavailable.ts';
import { longestPrompt, sourcesOf } from './answer.ts';
import type { EngineInfo, EngineRequest } from './engine.ts';
import type { Experts } from './experts.ts';

export type Terms = Pick<EngineInfo, 'contextLength' | 'modes'>;

/** Throws a PlimsollError if the request cannot be met. */
export function checkRequest(request: EngineRequest, { contextLength, modes }: Terms): void {
  const { promptIds, maxTokens, line, resume } = request;
  if (!modes.includes(line.mode)) throw modeUnavailable(line.mode);
  const longest = longestPrompt(request, sourcesOf(line));
  if (longest >= contextLength) {
    throw contextLengthExceeded(promptIds.length, contextLength, { ownPrompt: longest - promptIds.length });
  }
  const room = contextLength - longest;
  const most = Math.min(maxTokens ?? room, room);
  if (resume && resume.ids.length >= most) {
    const message = `The answer to be resumed has ${resume.ids.length} tokens already and may have ${most}.`;
    throw new PlimsollError('invalid_request', message);
  }
}

export function termsOf(experts: Experts, contextLength: number): Terms {
  return { contextLength, modes: experts.abilities.layers ? ['logits', 'layers'] : ['logits'] };
}
