/**
 * What a client reads when a limit is in the way, in OpenAI's words, and the headers that go with
 * it.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import type { Allowance, Allowances, Denial, LimitName } from '../objects/tenant-account-contract.ts';

const NAMES: Record<LimitName, string> = {
  requests_per_minute: 'requests per minute',
  tokens_per_minute: 'tokens per minute',
  concurrent_streams: 'answers at once',
  tokens_per_day: 'tokens per day',
  tokens_per_month: 'tokens per month',
  tries_per_prompt_per_minute: 'tries of one prompt per minute',
};

/** Waiting for the next minute is a matter of rate. What is spent until tomorrow is spent. */
const CODES: Record<LimitName, 'rate_limit_exceeded' | 'insufficient_quota'> = {
  requests_per_minute: 'rate_limit_exceeded',
  tokens_per_minute: 'rate_limit_exceeded',
  concurrent_streams: 'rate_limit_exceeded',
  tokens_per_day: 'insufficient_quota',
  tokens_per_month: 'insufficient_quota',
  tries_per_prompt_per_minute: 'rate_limit_exceeded',
};

/** What has to be over, where another answer has to end as well. */
const PERIODS: Partial<Record<LimitName, string>> = {
  tokens_per_day: 'the day of UTC is over and ',
  tokens_per_month: 'the month of UTC is over and ',
};

/** @param requested tokens; null where the limit is not on tokens */
export function limitExceeded(
  { limit, most, used, retryAfterMs, tooLarge }: Denial,
  { requested }: { requested: number },
): PlimsollError {
  const isOnTokens = limit.startsWith('tokens_');
  const asked = isOnTokens ? `, and this request may need ${requested}` : '';
  const how = tooLarge
    ? `No wait will help. ${isOnTokens ? 'Send a shorter prompt or a smaller max_tokens.' : most === 0 ? 'The policy lets nothing in.' : 'Ask for fewer answers at once.'}`
    : retryAfterMs === null
      ? `Try again when ${PERIODS[limit] ?? ''}another answer has ended.`
      : `Try again in ${durationText(retryAfterMs)}.`;
  return new PlimsollError(
    CODES[limit],
    `The limit on ${NAMES[limit]} is reached: it is ${most}, ${used} are in use${asked}. ${how}`,
    retryAfterMs === null ? {} : { retryAfterSeconds: Math.ceil(retryAfterMs / 1000) },
  );
}

/**
 * The prompt has more tokens than was thought possible, and there is no room for it and its answer.
 *
 * @param more tokens that were not reserved
 * @param tokens of the prompt
 */
export function promptTooCostly(
  limit: LimitName,
  { most, used, more, tokens }: { most: number; used: number; more: number; tokens: number },
): PlimsollError {
  return new PlimsollError(
    CODES[limit],
    `The limit on ${NAMES[limit]} is reached: it is ${most}, ${used} are in use, and this request may need ${more} more: its prompt has ${tokens} tokens.`,
  );
}

/** The answer has become longer than was thought possible, and there is no room for more of it. */
export function answerTooCostly(limit: LimitName, { most, used }: { most: number; used: number }): PlimsollError {
  return new PlimsollError(
    CODES[limit],
    `The limit on ${NAMES[limit]} is reached: it is ${most}, ${used} are in use, and the answer has used up what that left.`,
  );
}

/** OpenAI's clients read these two before `retry-after`. */
export function retryHeaders({ retryAfterMs, limit, tooLarge }: Denial): Record<string, string> {
  return {
    ...(retryAfterMs !== null && { 'retry-after-ms': String(retryAfterMs) }),
    // They would send the request again at once, and get the same answer.
    ...((tooLarge || CODES[limit] === 'insufficient_quota') && { 'x-should-retry': 'false' }),
  };
}

export function rateLimitHeaders({ requests, tokens }: Allowances): Record<string, string> {
  return { ...headersOf('requests', requests), ...headersOf('tokens', tokens) };
}

function headersOf(what: string, allowance: Allowance | null): Record<string, string> {
  if (allowance === null) return {};
  const { limit, remaining, resetMs } = allowance;
  return {
    [`x-ratelimit-limit-${what}`]: String(limit),
    [`x-ratelimit-remaining-${what}`]: String(remaining),
    [`x-ratelimit-reset-${what}`]: durationText(resetMs),
  };
}

/** As OpenAI writes it: '120ms', '7.66s', '6m0s', '2h30m0s'. */
export function durationText(ms: number): string {
  if (ms < 1000) return `${ms}ms`;
  if (ms < 60_000) return `${ms / 1000}s`;
  const seconds = Math.ceil(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  const rest = `${minutes % 60}m${seconds % 60}s`;
  return minutes < 60 ? rest : `${Math.floor(minutes / 60)}h${rest}`;
}

/** Where tries of one prompt are limited, a request is one try. */
export function severalTries({ tries }: { tries: number }): PlimsollError {
  return new PlimsollError(
    'unsupported_value',
    `'n' times the number of prompts is not allowed to be more than 1 here, because the tenant's policy limits how often a prompt may be tried: found ${tries}.`,
    { param: 'n' },
  );
}
