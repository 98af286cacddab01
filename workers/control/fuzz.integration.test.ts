/** Whatever is sent to the admin API, no answer is our fault. A seed that fails is printed. */
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import { OPERATIONS } from '../openapi/document.ts';
import { type EdgeUnderTest, OPERATOR_KEY, startEdgeUnderTest } from '../testing/edge-under-test.ts';

let under: EdgeUnderTest;
beforeAll(async () => {
  under = await startEdgeUnderTest();
});
afterAll(() => under.dispose());

const routes = Object.keys(OPERATIONS).filter((route) => route.includes('/admin/v1/'));
const id = fc.oneof(fc.constantFrom('demo-open', 'demo-strict', 'demo', 'new', 'a'.repeat(64)), fc.string());
const policy = fc.oneof(
  fc.record(
    { floor: fc.double(), budget: fc.option(fc.double()), action: fc.constantFrom('mix', 'refuse'), x: fc.json() },
    { requiredKeys: [] },
  ),
  fc.constant({ floor: 0.5, budget: null }),
);
const body = fc.oneof(
  fc.json(),
  fc.string(),
  fc
    .record(
      {
        id,
        name: fc.string(),
        policy,
        plan: fc.option(id),
        keys: fc.array(
          fc.record({ id, sha256: fc.constantFrom('a'.repeat(64), 'b'.repeat(64)), scopes: fc.jsonValue() }),
        ),
        scopes: fc.array(fc.constantFrom('inference', 'read', 'admin')),
        expires_at: fc.oneof(fc.string(), fc.constant('2030-01-01T00:00:00Z')),
        overlap_seconds: fc.oneof(fc.integer(), fc.double()),
        share: fc.double(),
        reason: fc.string(),
        type: fc.constantFrom('plimsoll-backup', 'tenant', 'end'),
      },
      { requiredKeys: [] },
    )
    .map((value) => JSON.stringify(value)),
);
const call = fc.record({
  route: fc.constantFrom(...routes),
  params: fc.tuple(id, id),
  query: fc.dictionary(fc.constantFrom('limit', 'after', 'before', 'data', 'seq', 'hash', 'x'), fc.string()),
  ifMatch: fc.option(fc.oneof(fc.constantFrom('*', '"1"', 'W/"2"'), fc.stringMatching(/^[ -~]*$/))),
  body,
});

test('calls at random are answered, with an error in its one shape or without', async () => {
  await fc.assert(
    fc.asyncProperty(call, async ({ route, params, query, ifMatch, body }) => {
      const [method = '', path = ''] = route.split(' ');
      const rest = [...params];
      const filled = path.replace(/:\w+/g, () => encodeURIComponent(rest.shift()?.toWellFormed() ?? ''));
      const search = new URLSearchParams(query);
      const answer = await fetch(`${under.edge.url}${filled}?${search}`, {
        method,
        headers: { authorization: `Bearer ${OPERATOR_KEY}`, ...(ifMatch !== null && { 'if-match': ifMatch }) },
        ...(method !== 'GET' && { body }),
      });
      const text = await answer.text();
      expect(answer.status, text).toBeLessThan(500);
      if (answer.status < 400) return;
      const { error } = JSON.parse(text) as ErrorBody;
      expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type']);
    }),
    { numRuns: 400 },
  );
});
