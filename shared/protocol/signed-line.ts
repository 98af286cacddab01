/**
 * The line as the edge has signed it, with the rules for the second look: all that a policy puts
 * into the key of an answer's draws (derive-draw-key.ts). A second look may tighten the line that
 * is held, and a receipt has that one, so it has the digest of this.
 */
import { canonicalJson } from './canonical-json.ts';
import type { Directive } from './directive.ts';
import { sha256Hex } from './sha256.ts';

export type SignedLine = Pick<Directive, 'line' | 'second_look'>;

/** SHA-256 over the canonical JSON of `[line, second_look]`, lower-case hex. */
export const digestOfSignedLine = ({ line, second_look }: SignedLine): Promise<string> =>
  sha256Hex(canonicalJson([line, second_look]));
