/**
 * Which of a tenant's limits is in the way of a request, and for how long. It only looks; the
 * ledger decides and writes.
 */
import type { Allowances, Caps, Denial, LimitName, Limits } from '../objects/tenant-account-contract.ts';
import type { Minute } from './minute.ts';
import { dayOf, untilNextDay, untilNextMonth, type Windows, windowsOf } from './windows.ts';

export function createDenials({
  minute,
  windows,
  underWay,
}: {
  minute: Minute;
  windows: Pick<Windows, 'read'>;
  /** How many answers are under way. */
  underWay: () => number;
}) {
  function allowances({ requests_per_minute, tokens_per_minute }: Limits): Allowances {
    const resetMs = minute.untilEmpty();
    const of = (limit: number | null, used: number) =>
      limit === null ? null : { limit, remaining: Math.max(0, limit - used), resetMs };
    return { requests: of(requests_per_minute, minute.requests()), tokens: of(tokens_per_minute, minute.tokens()) };
  }

  function tokensInTheWay(limits: Limits, more: number, { time, day: date }: { time: number; day: string }): Denial[] {
    const [day, month] = windowsOf(date);
    const check = (
      limit: 'tokens_per_minute' | 'tokens_per_day' | 'tokens_per_month',
      used: number,
      wait: () => number,
    ) => {
      const most = limits[limit];
      if (most === null || more === 0 || used + more <= most) return [];
      const tooLarge = more > most;
      return [{ limit, most, used, retryAfterMs: tooLarge ? null : wait(), tooLarge }];
    };
    return [
      ...check('tokens_per_minute', minute.tokens(), () => minute.untilTokens(limits.tokens_per_minute ?? 0, more)),
      ...check('tokens_per_day', windows.read(day).charged, () => untilNextDay(time)),
      ...check('tokens_per_month', windows.read(month).charged, () => untilNextMonth(time)),
    ];
  }

  function inTheWay(
    { limits, prompt, answers = 1 }: { limits: Limits; prompt: string | null; answers?: number },
    counted: number,
    time: number,
  ): Denial[] {
    const check = (
      limit: LimitName,
      used: number,
      wait: (most: number) => number | null,
      more: number = 1,
    ): Denial[] => {
      const most = limits[limit];
      if (most === null || used + more <= most) return [];
      const tooLarge = more > most;
      return [{ limit, most, used, retryAfterMs: tooLarge ? null : wait(most), tooLarge }];
    };
    return [
      ...check('requests_per_minute', minute.requests(), (most) => minute.untilRequest(most)),
      ...(prompt === null
        ? []
        : check('tries_per_prompt_per_minute', minute.tries(prompt), (most) => minute.untilTry(most, prompt))),
      // No clock tells when an answer will end.
      ...check('concurrent_streams', underWay(), () => null, answers),
      ...tokensInTheWay(limits, counted, { time, day: dayOf(time) }),
    ];
  }

  return {
    allowances,
    /** What is in the way of a request that counts as so many tokens; null if nothing is. */
    ofRequest: (ask: { limits: Limits; prompt: string | null; answers?: number }, counted: number, time: number) =>
      strictest(inTheWay(ask, counted, time)),
    /**
     * What is in the way of more tokens for a request that was let in: the limit that leaves least,
     * so that the request can have all that is left.
     */
    ofTokens: (limits: Limits, more: number, when: { time: number; day: string }) =>
      tightest(tokensInTheWay(limits, more, when)),
  };
}

/** Whether a denial says that the tenant has reached this cap. */
export function isFull(name: keyof Caps, { caps }: { caps: Caps }, { limit, most, tooLarge }: Denial): boolean {
  return limit === name && most === caps[name] && !tooLarge;
}

/** Which limits are spent until UTC says so. */
const SPENT: ReadonlySet<LimitName> = new Set(['tokens_per_day', 'tokens_per_month']);

/**
 * Of all limits that are in the way of a request, the one to name; null if none is. That is the one
 * that no wait helps against, or else the one that is in the way for longest. If an answer has to
 * end first, no clock tells how long that is: what is spent for the day or the month takes longer,
 * and a minute does not.
 */
function strictest(denials: readonly Denial[]): Denial | null {
  const tooLarge = denials.find((denial) => denial.tooLarge);
  if (tooLarge !== undefined) return tooLarge;
  const unknown = denials.find(({ retryAfterMs }) => retryAfterMs === null);
  if (unknown === undefined) return longestOf(denials);
  const spent = longestOf(denials.filter(({ limit }) => SPENT.has(limit)));
  return spent === null ? unknown : { ...spent, retryAfterMs: null };
}

function longestOf(denials: readonly Denial[]): Denial | null {
  return least(denials, ({ retryAfterMs }) => -(retryAfterMs ?? 0));
}

function tightest(denials: readonly Denial[]): Denial | null {
  return least(denials, ({ most, used }) => most - used);
}

/** The first of those with the least of something. */
function least(denials: readonly Denial[], of: (denial: Denial) => number): Denial | null {
  return denials.reduce<Denial | null>((a, b) => (a !== null && of(a) <= of(b) ? a : b), null);
}
