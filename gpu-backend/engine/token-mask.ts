/**
 * What may come next in one answer, beyond what its experts think of it: a list of tokens, a
 * grammar. A mask acts on the mixture and on the safety expert alike, because nothing else would
 * fit. So the budget's promise is about the safety expert under the same mask. (A client's bias and
 * penalties act on the mixture alone; see shared/answer/answer-sampling.ts.)
 *
 * A resumed answer gets a new mask, which is told the tokens drawn so far.
 *
 * A mask lives where the answer does, in the engine's thread, and is asked at every token. So it
 * never crosses to that thread: it has methods, and messages are plain data. What crosses is the
 * request, and there `HostOptions.maskOf` makes a mask of what the request says. A further kind of
 * mask is a field of `EngineRequest.sampling` that can be cloned, its check in check-request.ts,
 * and a `maskOf` that knows the field, given to `hostEngine` in engine-thread.ts. That thread has
 * the bundle's tokenizer, which a grammar needs. Today it gives none, so the default applies.
 */
import type { TokenMask } from '#shared/answer/token-mask.ts';
import type { EngineRequest } from './engine.ts';

/** Makes the mask of one answer to a request. null: it has none. */
export type MaskOf = (request: EngineRequest) => TokenMask | null;

/** The mask of a request that names the only tokens its answer may consist of. */
export const allowedTokens: MaskOf = ({ sampling: { allowedIds } }) => {
  if (allowedIds === undefined) return null;
  let most = 0;
  for (const id of allowedIds) most = Math.max(most, id);
  const bits = new Uint32Array((most >> 5) + 1);
  for (const id of allowedIds) bits[id >> 5]! |= 1 << (id & 31);
  return { allowed: () => bits, accept: () => {} };
};
