/**
 * The last minute of an account, in memory: every request that was let in, with its tokens. The
 * minute slides, so no stretch of sixty seconds ever holds more than the limit.
 *
 * A request leaves sixty seconds after it was let in, whether its answer is over or not. Only so
 * can we say how long to wait: the clock alone decides when there is room.
 */
export const MINUTE_MS = 60_000;

export type Entry = {
  /** Milliseconds. */
  at: number;
  tokens: number;
  /** A digest; null unless tries of one prompt are limited. */
  prompt: string | null;
};

export type Minute = {
  requests(): number;
  tokens(): number;
  tries(prompt: string): number;
  add(entry: Entry): void;
  /** Corrects the tokens of an entry. If it has left, nothing else changes. */
  correct(entry: Entry, tokens: number): void;
  /** Lets go of what is older than a minute. Call this first, whenever time may have passed. */
  moveTo(now: number): void;
  /** How long until there is room for one more request. */
  untilRequest(limit: number): number;
  /** How long until there is room for `more` tokens, which must not be more than the limit. */
  untilTokens(limit: number, more: number): number;
  untilTry(limit: number, prompt: string): number;
  /** How long until the minute is empty. */
  untilEmpty(): number;
};

export function createMinute(): Minute {
  // Oldest first. What is before `first` has left.
  let entries: Entry[] = [];
  let first = 0;
  let now = 0;
  let tokens = 0;
  const inside = new Set<Entry>();
  const tries = new Map<string, number>();
  const requests = () => entries.length - first;

  function count(prompt: string | null, change: 1 | -1): void {
    if (prompt === null) return;
    const left = (tries.get(prompt) ?? 0) + change;
    if (left === 0) tries.delete(prompt);
    else tries.set(prompt, left);
  }

  /** How long until `enough` holds, if the oldest entries leave one after the other. */
  function untilLeft(enough: (left: Entry) => boolean): number {
    for (let index = first; index < entries.length; index++) {
      const entry = entries[index]!;
      if (enough(entry)) return entry.at + MINUTE_MS - now;
    }
    return 0;
  }

  return {
    requests,
    tokens: () => tokens,
    tries: (prompt) => tries.get(prompt) ?? 0,
    add(entry) {
      entries.push(entry);
      inside.add(entry);
      tokens += entry.tokens;
      count(entry.prompt, 1);
    },
    correct(entry, corrected) {
      if (inside.has(entry)) tokens += corrected - entry.tokens;
      entry.tokens = corrected;
    },
    moveTo(time) {
      now = time;
      for (; first < entries.length && now - entries[first]!.at >= MINUTE_MS; first++) {
        const entry = entries[first]!;
        inside.delete(entry);
        tokens -= entry.tokens;
        count(entry.prompt, -1);
      }
      if (first > 1_000 && first > entries.length / 2) {
        entries = entries.slice(first);
        first = 0;
      }
      // The clock was set back. What seems to lie in the future counts as of now, or it would stay
      // for as long as the clock has jumped.
      for (let index = entries.length - 1; index >= first && entries[index]!.at > now; index--) {
        entries[index]!.at = now;
      }
    },
    untilRequest(limit) {
      let over = requests() + 1 - limit;
      return over <= 0 ? 0 : untilLeft(() => --over === 0);
    },
    untilTokens(limit, more) {
      let over = tokens + more - limit;
      return over <= 0
        ? 0
        : untilLeft((entry) => {
            over -= entry.tokens;
            return over <= 0;
          });
    },
    untilTry(limit, prompt) {
      let over = (tries.get(prompt) ?? 0) + 1 - limit;
      return over <= 0 ? 0 : untilLeft((entry) => entry.prompt === prompt && --over === 0);
    },
    untilEmpty: () => (requests() === 0 ? 0 : entries[entries.length - 1]!.at + MINUTE_MS - now),
  };
}
