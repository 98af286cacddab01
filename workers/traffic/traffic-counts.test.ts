import { expect, test } from 'vitest';
import type { OverRequest } from '../objects/live-traffic-contract.ts';
import { createTrafficCounts } from './traffic-counts.ts';

const over = (changes: Partial<OverRequest> = {}): OverRequest => ({
  ...{ request: 'req_1', at: '2026-11-30T08:00:00.000Z', tenant: 'a', key: 'web', route: 'POST /v1/chat/completions' },
  ...{ model: null, outcome: 'answered', status: 200, code: null, ms: 5, policy: null, canary: false, floor: null },
  ...{ budget: null, spent: null, categories: [], because: null, weights: null, prompt_tokens: null },
  ...{ completion_tokens: null, finish_reason: null, cache: null, backend: null },
  ...changes,
});

test('every request is counted, also beyond what is remembered, and so is what could not be told', () => {
  const { add, counts } = createTrafficCounts({ now: () => 7 });
  for (let batch = 0; batch < 20; batch++) {
    const requests = Array.from({ length: 50 }, () => over({ cache: 'miss', prompt_tokens: 10, completion_tokens: 3 }));
    add({ tenants: [{ tenant: 'a', requests, lost: 2 }], lost: 1 });
  }
  const failed = over({ outcome: 'failed', status: 503, code: 'overloaded' });
  add({ tenants: [{ tenant: 'b', requests: [failed, failed, over({ outcome: 'left' })], lost: 0 }], lost: 0 });
  const { outcomes, codes, caches, ...rest } = counts();
  expect(Object.fromEntries(outcomes)).toEqual({ answered: 1000, refused: 0, failed: 2, left: 1 });
  expect(Object.fromEntries(codes)).toEqual({ overloaded: 2 });
  expect(Object.fromEntries(caches)).toEqual({ hit: 0, miss: 1000, coalesced: 0, off: 0 });
  expect(rest).toEqual({ sinceMs: 7, promptTokens: 10_000, completionTokens: 3_000, lost: 60 });
});
