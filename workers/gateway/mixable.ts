import { PlimsollError } from '#shared/api/errors.ts';
import type { Asked } from '#shared/protocol/generate-body.ts';
import { grammarField } from '#shared/protocol/grammar-of-chat.ts';

/** Throws if the request wants the mode `edge` and something that the edge cannot do there. */
export function demandMixable(asked: Asked): void {
  const { plimsoll, n, echo, prompt } = asked;
  if (plimsoll?.mode !== 'edge') return;
  const grammar = grammarField(asked);
  const param = n != null && n > 1 ? 'n' : echo === true ? 'echo' : prompt === undefined ? grammar : 'prompt';
  if (param === null) return;
  throw new PlimsollError(
    'unsupported_value',
    `'${param}' is not supported in the mode "edge": expected one answer to a chat, in free text. Leave 'plimsoll.mode' out.`,
    { param },
  );
}
