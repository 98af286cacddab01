/**
 * What can be said against a request by looking at it: asked where it comes in, so that a refusal
 * waits for no run, and again in the engine, which relies on nobody.
 */
import { contextLengthExceeded } from '#shared/api/context-length.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { modeUnavailable } from '#shared/api/mode-unavailable.ts';
import { sourcesOf } from './answer.ts';
import type { EngineInfo, EngineRequest } from './engine.ts';
import type { Experts, Source } from './experts.ts';

export type Terms = Pick<EngineInfo, 'contextLength' | 'modes' | 'prefixes'>;

/**
 * Throws a PlimsollError where the request cannot be met.
 *
 * @returns the tokens of its longest row, prompt and answer together: without what that row's
 * expert has of its own, which has to fit as well
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
