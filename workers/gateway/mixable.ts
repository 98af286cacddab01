import { PlimsollError } from '#shared/api/errors.ts';
import type { Asked } from '#shared/protocol/generate-body.ts';

/** Throws if the request wants the mode `edge` and something that the edge cannot do there. */
export function demandMixable({ plimsoll, n, echo, prompt }: Asked): void {
  if (plimsoll?.mode !== 'edge') return;
  const param = n != null && n > 1 ? 'n' : echo === true ? 'echo' : prompt === undefined ? null : 'prompt';
  if (param === null) return;
  throw new PlimsollError(
    'unsupported_value',
    `'${param}' is not supported in the mode "edge": expected one answer to a chat. Leave 'plimsoll.mode' out.`,
    { param },
  );
}
