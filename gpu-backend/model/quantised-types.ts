/**
 * Which type each matrix of a quantised bundle has. `plimsoll.json` names the type of the linear
 * weights. A matrix may be finer than that: an import keeps the embedding and the head in 8 bits.
 * Most of what int4 loses is lost there, in 20 % of the weights of SmolLM2-135M (in a larger model
 * in far fewer), and GGUF files keep them in 6 or 8 bits too.
 */
import { BLOCK, type QuantisedType } from './quantise.ts';
import { EMBEDDING_WEIGHT, HEAD_WEIGHT } from './table-names.ts';

const TABLES: ReadonlySet<string> = new Set([EMBEDDING_WEIGHT, HEAD_WEIGHT]);

/** The type that an import gives to the matrix `name`. */
export function usualType(name: string, type: QuantisedType): QuantisedType {
  return TABLES.has(name) ? 'int8' : type;
}

/** The type of quants with this shape, `[out, in / 32, bytes of a block]`. */
export function typeOfQuants(shape: readonly number[]): QuantisedType {
  return shape.at(-1) === BLOCK ? 'int8' : 'int4';
}
