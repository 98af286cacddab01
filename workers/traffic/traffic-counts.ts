/**
 * Counts the requests of the whole deployment that are over. It knows no names of tenants, so there
 * is nothing to forget when one is erased.
 */
import { CACHE_STATES } from '#shared/api/plimsoll-extension.ts';
import { OUTCOMES, type TrafficBatch, type TrafficCounts } from '../objects/live-traffic-contract.ts';

export function createTrafficCounts({ now = Date.now }: { now?: () => number } = {}) {
  const counts: TrafficCounts = {
    sinceMs: now(),
    outcomes: new Map(OUTCOMES.map((outcome) => [outcome, 0])),
    codes: new Map(),
    caches: new Map(CACHE_STATES.map((state) => [state, 0])),
    promptTokens: 0,
    completionTokens: 0,
    lost: 0,
  };

  function add({ tenants, lost }: Pick<TrafficBatch, 'tenants' | 'lost'>): void {
    counts.lost += lost;
    for (const { requests, lost: more } of tenants) {
      counts.lost += more;
      for (const { outcome, code, cache, prompt_tokens, completion_tokens } of requests) {
        countOne(counts.outcomes, outcome);
        if (code !== null) countOne(counts.codes, code);
        if (cache !== null) countOne(counts.caches, cache);
        counts.promptTokens += prompt_tokens ?? 0;
        counts.completionTokens += completion_tokens ?? 0;
      }
    }
  }

  return { add, counts: (): TrafficCounts => counts };
}

function countOne<Name>(counts: Map<Name, number>, name: Name): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
