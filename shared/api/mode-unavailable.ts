import type { Mode } from '#shared/line/line.ts';
import { PlimsollError } from './errors.ts';

const INSTEAD = `Leave 'plimsoll.mode' out or ask for "logits".`;
const WHY: Readonly<Record<Mode, string>> = {
  logits: `its backends give only rows of their experts. Ask for "edge".`,
  layers: `its bundle has no layers router. ${INSTEAD}`,
  edge: `none of its backends gives rows of its experts. ${INSTEAD}`,
};

/**
 * The error for a mode that the bundle or its backends do not have. The edge knows what its pool
 * offers, so edge and backend both throw it, with the same message.
 */
export function modeUnavailable(mode: Mode): PlimsollError {
  return new PlimsollError('unsupported_value', `This model cannot answer in the mode "${mode}": ${WHY[mode]}`, {
    param: 'plimsoll.mode',
  });
}
