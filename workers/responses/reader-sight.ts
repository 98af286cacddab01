/**
 * What of a stored response its reader may see. Whoever asked for it may have been under a looser
 * policy than whoever reads it, so it is cut down to what the reader may ask for.
 */
import type { SentExtension } from '#shared/api/plimsoll-extension.ts';
import type { ResponseObject } from '#shared/api/responses-answer.ts';
import type { Caller } from '../request/tenant-directory.ts';

/** @param response JSON, as it is stored */
export function asSeenBy({ policy, canary }: Pick<Caller, 'policy' | 'canary'>, response: string): string {
  // Which side of a canary its prompt was on does not matter: both have to allow it.
  const policies = canary === null ? [policy] : [policy, canary.policy];
  const seesTokens = policies.every(({ trace }) => trace === 'tokens');
  const seesSummary = policies.every(({ trace }) => trace !== 'none');
  const seesLogprobs = policies.every(({ shaping }) => shaping.logprobs);
  if (seesTokens && seesLogprobs) return response;
  // The cast: our own text.
  const { plimsoll, output, ...rest } = JSON.parse(response) as ResponseObject;
  const extension = plimsoll && (seesTokens ? plimsoll : seesSummary ? withoutTokens(plimsoll) : leastOf(plimsoll));
  const seen = {
    ...rest,
    output: seesLogprobs ? output : output.map(withoutLogprobs),
    ...(extension && { plimsoll: extension }),
  };
  return JSON.stringify(seen);
}

function withoutTokens({ tokens: _, ...summary }: SentExtension): SentExtension {
  return summary;
}

/** As an answer has it with the trace `none`. */
function leastOf({ policy, receipt, drawn_text, cache }: SentExtension): SentExtension {
  return {
    policy,
    receipt,
    ...(drawn_text !== undefined && { drawn_text }),
    ...(cache?.receipt !== undefined && { cache }),
  };
}

function withoutLogprobs(item: ResponseObject['output'][number]): ResponseObject['output'][number] {
  if (item.type !== 'message') return item;
  const content = item.content.map((part) => (part.type === 'output_text' ? { ...part, logprobs: [] } : part));
  return { ...item, content };
}
