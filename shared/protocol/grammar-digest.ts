import type { Grammar } from '#shared/grammar/grammar.ts';
import { canonicalJson } from './canonical-json.ts';
import { sha256Hex } from './sha256.ts';

/** How receipts name a grammar. */
export const grammarDigest = (grammar: Grammar): Promise<string> => sha256Hex(canonicalJson(grammar));
