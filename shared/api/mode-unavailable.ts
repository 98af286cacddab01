import type { Mode } from '#shared/line/line.ts';
import { PlimsollError } from './errors.ts';

/**
 * The error for a mode that the bundle has no router for. The edge knows what its pool offers, so
 * edge and backend both throw it, with the same message.
 */
export function modeUnavailable(mode: Mode): PlimsollError {
  return new PlimsollError(
    'unsupported_value',
    `This model cannot answer in the mode "${mode}": its bundle has no ${mode} router. Leave 'plimsoll.mode' out or ask for "logits".`,
    { param: 'plimsoll.mode' },
  );
}
