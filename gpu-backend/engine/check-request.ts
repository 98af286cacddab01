/**
 * Refuses requests that can be refused just by looking at them. The client side of an engine checks
 * first, so that a refusal does not wait for a run. The engine checks again, because it trusts no
 * caller.
 */
import { contextLengthExceeded } from '#shared/api/context-length.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { modeUnavailable } from '#shared/api/mode-unavailable.ts';
import { sourcesOf } from './answer.ts';
import type { EngineInfo, EngineRequest } from './engine.ts';
import type { Experts, Source } from './experts.ts';

export type Terms = Pick<EngineInfo, 'contextLength' | 'modes' | 'prefixes'>;

/**
 * Throws a PlimsollError if the request cannot be met.
 *
 * @returns the most tokens that prompt and answer may have together in the longest row. The
 *   expert's own prefix in that row is not counted, but there is room left for it.
 */
export function checkRequest({ promptIds, maxTokens, line, resume }: EngineRequest, terms: Terms): number {
  if (!terms.modes.includes(line.mode)) throw modeUnavailable(line.mode);
  const contextLength = terms.contextLength - longestPrefix(sourcesOf(line), terms);
  if (promptIds.length >= contextLength) throw contextLengthExceeded(promptIds.length, contextLength);
  const room = contextLength - promptIds.length;
  const most = Math.min(maxTokens ?? room, room);
  if (resume && resume.ids.length >= most) {
    const message = `The answer to be resumed has ${resume.ids.length} tokens already and may have ${most}.`;
    throw new PlimsollError('invalid_request', message);
  }
  return contextLength;
}

export function longestPrefix(sources: readonly Source[], { prefixes }: Pick<Terms, 'prefixes'>): number {
  return Math.max(...sources.map((source) => prefixes[source]));
}

export function termsOf(experts: Experts, contextLength: number): Terms {
  return {
    contextLength,
    modes: experts.abilities.layers ? ['logits', 'layers'] : ['logits'],
    prefixes: {
      safety: experts.prefixLength('safety'),
      helpfulness: experts.prefixLength('helpfulness'),
      layers: experts.prefixLength('layers'),
    },
  };
}
