/** Calls of the admin API at random, by an operator who may do everything. */
import * as fc from 'fast-check';
import { OPERATIONS } from '#workers/openapi/document.ts';
import { OPERATOR_KEY, startEdgeUnderTest } from '#workers/testing/edge-under-test.ts';
import { type FuzzKind, openKind } from './fuzz-kind.ts';
import { answered, judgeAnswer, judgeLog } from './judge-answer.ts';

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
        scopes: fc.array(fc.constantFrom('inference', 'read', 'admin', 'prompts')),
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

/** Whatever is sent there, no answer is our fault. */
export const adminCalls: FuzzKind = async () => {
  const under = await startEdgeUnderTest();
  return openKind(
    call,
    async ({ route, params, query, ifMatch, body }) => {
      const logged = under.log.length;
      const [method = '', path = ''] = route.split(' ');
      const rest = [...params];
      const filled = path.replace(/:\w+/g, () => encodeURIComponent(rest.shift()?.toWellFormed() ?? ''));
      const answer = await fetch(`${under.edge.url}${filled}?${new URLSearchParams(query)}`, {
        method,
        headers: { authorization: `Bearer ${OPERATOR_KEY}`, ...(ifMatch !== null && { 'if-match': ifMatch }) },
        ...(method !== 'GET' && { body }),
      });
      const outcome = judgeAnswer(await answered(answer));
      judgeLog(under.log, logged);
      return outcome;
    },
    under.dispose,
  );
};
