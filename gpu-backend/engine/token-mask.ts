/**
 * What may come next in one answer, beyond what its experts think of it: a list of tokens or a
 * grammar, but not both. A mask acts on the mixture and on the safety expert alike, because nothing
 * else would fit. So the budget's promise is about the safety expert under the same mask. (A
 * client's bias and penalties act on the mixture alone; see shared/answer/answer-sampling.ts.)
 *
 * A resumed answer gets a new mask, which is told the tokens drawn so far.
 *
 * A mask lives where the answer does, in the engine's thread, and is asked at every token. So it
 * never crosses to that thread: it has methods, and messages are plain data. What crosses is the
 * request, and there `HostOptions.maskOf` makes a mask of what the request says. A further kind of
 * mask is a field of `EngineRequest.sampling` that can be cloned, its check in check-request.ts,
 * and its part in `createMaskOf`.
 */

import type { TokenMask } from '#shared/answer/token-mask.ts';
import type { Vocabulary } from '#shared/answer/vocabulary.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import type { EngineRequest } from './engine.ts';
import { GrammarMasks } from './grammar-masks.ts';

/** Makes the mask of one answer to a request. null: it has none. */
export type MaskOf = (request: EngineRequest) => TokenMask | null;

/** The mask of a request that names the only tokens its answer may consist of, and no grammar. */
export const allowedTokens: MaskOf = ({ sampling: { allowedIds, grammar } }) => {
  if (grammar !== undefined) throw new Error('a grammar needs the tokens of a vocabulary');
  return allowedIds === undefined ? null : listMask(allowedIds);
};

/**
 * Knows all that a request can ask for. Grammars that come again are compiled once.
 *
 * @param prepared whether it makes its tree of the tokens at once, so that the first answer under a
 * grammar does not wait for it: with 49,152 tokens, a tenth of a second
 */
export function createMaskOf(
  vocabulary: Vocabulary,
  { size, prepared = false }: { size: number; prepared?: boolean },
): MaskOf {
  let masks = prepared ? new GrammarMasks(vocabulary, { size }) : null;
  masks?.prepare();
  return ({ sampling: { allowedIds, grammar } }) => {
    if (grammar === undefined) return allowedIds === undefined ? null : listMask(allowedIds);
    if (allowedIds !== undefined) {
      throw new PlimsollError('invalid_value', 'allowed_token_ids cannot be used together with a grammar.', {
        param: 'allowed_token_ids',
      });
    }
    masks ??= new GrammarMasks(vocabulary, { size });
    return masks.maskOf(grammar);
  };
}

function listMask(ids: readonly number[]): TokenMask {
  let most = 0;
  for (const id of ids) most = Math.max(most, id);
  const bits = new Uint32Array((most >> 5) + 1);
  for (const id of ids) bits[id >> 5]! |= 1 << (id & 31);
  return { allowed: () => bits, accept: () => {} };
}
