import type { Mode } from '#shared/line/line.ts';
import { PlimsollError } from './errors.ts';

/** For a mode that a bundle has no router for: the same words from the edge, which knows what its pool offers, and from a backend. */
export function modeUnavailable(mode: Mode): PlimsollError {
  return new PlimsollError(
    'unsupported_value',
    `This model cannot answer in the mode "${mode}": its bundle has no ${mode} router. Leave 'plimsoll.mode' out or ask for "logits".`,
    { param: 'plimsoll.mode' },
  );
}
