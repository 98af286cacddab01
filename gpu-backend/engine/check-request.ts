/**
 * Refuses requests that can be refused just by looking at them. The client side of an engine checks
 * first, so that a refusal does not wait for a run. The engine checks again, because it trusts no
 * caller.
 */
import { contextLengthExceeded } from '#shared/api/context-length.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { modeUnavailable } from '#shared/api/mode-unavailable.ts';
import type { Probe } from '../model/probe.ts';
import type { EngineInfo, EngineLimits, EngineRequest } from './engine.ts';
import type { Experts } from './experts.ts';
import { type KvMemory, kvMemory, longestRows, mostTokens } from './kv-memory.ts';
import { promptsOf, sourcesOf } from './needed-sources.ts';

export type Terms = Pick<
  EngineInfo,
  'contextLength' | 'vocabSize' | 'modes' | 'topK' | 'scores' | 'proposal' | 'memory' | 'secondLook'
>;

/** Throws a PlimsollError if the request cannot be met. */
export function checkRequest(request: EngineRequest, terms: Terms): void {
  const { promptIds, maxTokens, minTokens = 0, moreKeys = [], sampling, line, echo, topLogprobs, resume } = request;
  const { secondLook, rows } = request;
  const { contextLength, vocabSize, modes, scores, memory } = terms;
  // Whoever wants to mix must ask for rows, and nobody else gets any.
  const isOffered = rows === undefined ? modes.some((mode) => mode === line.mode) : line.mode === 'edge';
  if (!isOffered) throw modeUnavailable(line.mode);
  // A resumed answer is not looked at again.
  if (secondLook && resume?.look === undefined && terms.secondLook === null) {
    // Another backend may have a probe. To go on without a look would loosen the line.
    throw new PlimsollError('backend_unavailable', 'This backend cannot look at the prompt a second time.');
  }
  const sources = sourcesOf(line, { ...terms, looks: secondLook !== undefined, only: rows?.expert });
  const prompts = promptsOf(request, sources);
  if (echo && topLogprobs !== undefined) {
    refuseUnscored(prompts, { promptIds, scores });
    // The rows of such an answer do not read its prompt together.
    if (secondLook && line.mode === 'layers') throw unsupportedEcho('the prompt is looked at a second time');
  }
  const longest = Math.max(...prompts.map(({ length }) => length));
  if (longest >= contextLength) {
    throw contextLengthExceeded(promptIds.length, contextLength, { ownPrompt: longest - promptIds.length });
  }
  const size = { longest, rows: sources.length, contextLength, memory };
  const most = mostTokens(maxTokens, size);
  if (memory && longest + Math.max(1, most) > longestRows(memory, sources.length)) {
    throw memoryExceeded({ longest, most: Math.max(1, most), rows: sources.length, memory });
  }
  if (minTokens > most) {
    const message = `min_tokens is ${minTokens}, but the answer may have at most ${most} tokens.`;
    throw new PlimsollError('invalid_value', message, { param: 'min_tokens' });
  }
  refuseUnknownIds(sampling.allowedIds ?? [], { param: 'allowed_token_ids', vocabSize });
  refuseUnknownIds(sampling.logitBias?.keys() ?? [], { param: 'logit_bias', vocabSize });
  if (resume && secondLook && resume.look === undefined) {
    throw new PlimsollError('invalid_request', 'The answer to be resumed has no second look, but its request has one.');
  }
  if (resume?.look && secondLook === undefined) {
    throw new PlimsollError('invalid_request', 'The answer to be resumed has a second look, but its request has none.');
  }
  if (resume && moreKeys.length > 0) {
    throw new PlimsollError('invalid_request', `One answer can be resumed, not ${1 + moreKeys.length}.`);
  }
  refuseUnknownIds(resume?.ids ?? [], { param: null, vocabSize });
  if (resume && resume.ids.length > most) {
    const message = `The answer to be resumed has ${resume.ids.length} tokens already and may have ${most}.`;
    throw new PlimsollError('invalid_request', message);
  }
}

function refuseUnknownIds(
  ids: Iterable<number>,
  { param, vocabSize }: { param: string | null; vocabSize: number },
): void {
  for (const id of ids) {
    if (Number.isSafeInteger(id) && id >= 0 && id < vocabSize) continue;
    const message = `${param ?? 'The answer to be resumed'} has the token id ${id}, but the model's ids are 0 to ${vocabSize - 1}.`;
    throw new PlimsollError(param === null ? 'invalid_request' : 'invalid_value', message, { param });
  }
}

/** Prompts are scored token by token, so every row must read the same tokens. */
function refuseUnscored(
  prompts: readonly (readonly number[])[],
  { promptIds, scores }: { promptIds: readonly number[]; scores: boolean },
): void {
  if (scores && prompts.every((prompt) => prompt === promptIds)) return;
  const why = scores ? 'an expert of this model has a system prompt of its own' : 'its experts give no whole rows';
  throw unsupportedEcho(why);
}

function unsupportedEcho(why: string): PlimsollError {
  return new PlimsollError('unsupported_value', `This backend cannot send an echo with log-probabilities: ${why}.`, {
    param: 'echo',
  });
}

/** The terms of an engine over these experts. */
export function termsOf(
  experts: Pick<Experts, 'abilities' | 'cacheBytes' | 'vocabSize'>,
  {
    contextLength,
    proposal,
    probe = null,
    limits: { kvBytes, maxRows },
  }: {
    contextLength: number;
    probe?: Pick<Probe, 'version'> | null | undefined;
    /** A number, or anything else for a router. */
    proposal: unknown;
    limits: Pick<EngineLimits, 'kvBytes' | 'maxRows'>;
  },
): Terms {
  return {
    contextLength,
    vocabSize: experts.vocabSize,
    modes: experts.abilities.layers ? ['logits', 'layers'] : ['logits'],
    topK: experts.abilities.topK,
    // A truncated row need not have the token that came next.
    scores: experts.abilities.score && experts.abilities.topK === null,
    proposal: typeof proposal === 'number' ? proposal : null,
    secondLook: experts.abilities.sums && probe ? probe.version : null,
    memory: kvMemory(experts, { kvBytes, maxRows, contextLength }),
  };
}

function memoryExceeded({
  longest,
  most,
  rows,
  memory,
}: {
  longest: number;
  most: number;
  rows: number;
  memory: KvMemory;
}): PlimsollError {
  const bytes = rows * (longest + most) * memory.bytesPerToken;
  const fits = longestRows(memory, rows);
  const answer = `A prompt of ${longest} tokens and an answer of up to ${most} tokens`;
  return new PlimsollError(
    'context_length_exceeded',
    `${answer} take about ${bytes} bytes of memory in ${rows === 1 ? 'one row' : `${rows} rows`}. ` +
      `This backend has ${memory.bytes} bytes, enough for ${fits} tokens${rows === 1 ? '' : ' in each row'}. ` +
      'Send a shorter prompt or a smaller max_tokens.',
    { param: fits > longest ? 'max_tokens' : 'messages' },
  );
}
