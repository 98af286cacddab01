/**
 * The line that reaches the backend: whose policy it is, how tight it is, and what happens if a
 * policy or the classifier is broken.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { effectivePolicy, readLevel } from '#policies/effective.ts';
import operatorPolicy from '#policies/presets/operator.json' with { type: 'json' };
import { LOOSEST, PolicyPart } from '#policies/schema.ts';
import { canonicalPolicy, policyVersion } from '#policies/version.ts';
import type { ErrorBody } from '#shared/api/errors.ts';
import type { AnswerExtension } from '#shared/api/plimsoll-extension.ts';
import type { Line } from '#shared/line/line.ts';
import type { Directive } from '#shared/protocol/directive.ts';
import { sha256 } from '../local/seed-demo-tenants.ts';
import {
  ask,
  type EdgeUnderTest,
  OPERATOR_KEY,
  post,
  startEdgeUnderTest,
  storageOf,
} from '../testing/edge-under-test.ts';
import type { ScriptedBackend } from '../testing/scripted-backend.ts';

let under: EdgeUnderTest;
let backend: ScriptedBackend;

beforeAll(async () => {
  under = await startEdgeUnderTest();
  backend = under.backends[0] as ScriptedBackend;
});
afterAll(() => under.dispose());
beforeEach(() => {
  backend.seen.length = 0;
});

/** The directive that a request led to. */
async function directiveFor(
  { prompt = 'Hello', plimsoll }: { prompt?: string; plimsoll?: object },
  key: string,
): Promise<Directive> {
  const answer = await post(under.edge, '/v1/chat/completions', { ...ask(prompt), plimsoll }, key);
  expect(answer.status, await answer.text()).toBe(200);
  return (backend.seen.at(-1) as ScriptedBackend['seen'][number]).directive;
}
const lineFor = async (...request: Parameters<typeof directiveFor>): Promise<Line> =>
  (await directiveFor(...request)).line;

async function putTenant(id: string, policy: object, key: string): Promise<void> {
  const answer = await fetch(`${under.edge.url}/admin/v1/tenants/${id}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${OPERATOR_KEY}` },
    body: JSON.stringify({ name: id, policy, keys: [{ id: 'main', sha256: sha256(key) }] }),
  });
  expect(answer.status, await answer.text()).toBe(200);
}

/** Changes the truth behind the store's back and drops KV's copy of it. */
async function corrupt(id: string, key: string, statement: string, ...values: string[]): Promise<void> {
  await (await storageOf(under, id)).exec(statement, ...values);
  await (await under.edge.miniflare.getKVNamespace('TENANT_SNAPSHOTS')).delete(`key:${sha256(key)}`);
}

test.each([
  ['pk-demo-strict', { floor: 0.9, budget: 2, opening: { tokens: 8, floor: 0.95 } }],
  ['pk-demo-balanced', { floor: 0.3, budget: 20 }],
  ['pk-demo-open', { floor: 0, budget: null }],
])('%s: the tenant of the key sets the line', async (key, line) => {
  expect(await lineFor({}, key)).toMatchObject({ ...line, action: 'mix', mode: 'logits', rule: 'geometric' });
});

test('tenants that ask the same thing at the same time do not get in each other’s way', async () => {
  const keys = ['pk-demo-strict', 'pk-demo-balanced', 'pk-demo-open'];
  const floors: Record<string, number> = { 'demo-strict': 0.9, 'demo-balanced': 0.3, 'demo-open': 0 };
  await Promise.all(
    Array.from({ length: 30 }, (_, index) =>
      post(under.edge, '/v1/chat/completions', ask('The same question'), keys[index % 3]).then((answer) =>
        answer.text(),
      ),
    ),
  );
  expect(backend.seen).toHaveLength(30);
  for (const { directive } of backend.seen) expect(directive.line.floor).toBe(floors[directive.tenant]);
});

describe('a request can only tighten', () => {
  test.each<[object, Partial<Line>]>([
    [{ floor: 0.1 }, { floor: 0.3, budget: 20 }],
    [
      { floor: 0, budget: 1e6 },
      { floor: 0.3, budget: 20 },
    ],
    [
      { floor: null, budget: null },
      { floor: 0.3, budget: 20 },
    ],
    [{ floor: 0.7 }, { floor: 0.7, budget: 20 }],
    [{ budget: 3 }, { floor: 0.3, budget: 3 }],
    [
      { floor: 1, budget: 0 },
      { floor: 1, ceiling: 1, budget: 0 },
    ],
    [
      { mode: 'logits', trace: 'none' },
      { floor: 0.3, budget: 20 },
    ],
  ])('%j', async (plimsoll, line) => {
    expect(await lineFor({ plimsoll }, 'pk-demo-balanced')).toMatchObject(line);
  });
  test('and a decision remembered for a tight request is not used for a loose one', async () => {
    const prompt = 'Remember me';
    expect(await lineFor({ prompt, plimsoll: { floor: 0.8 } }, 'pk-demo-open')).toMatchObject({ floor: 0.8 });
    expect(await lineFor({ prompt }, 'pk-demo-open')).toMatchObject({ floor: 0 });
    expect(await lineFor({ prompt, plimsoll: { floor: 0.8 } }, 'pk-demo-open')).toMatchObject({ floor: 0.8 });
  });
});

describe('what the classifier finds raises the line', () => {
  test('along the ramp of the category, in any role', async () => {
    expect(await lineFor({ prompt: 'Kittens' }, 'pk-demo-balanced')).toMatchObject({ floor: 0.3, budget: 20 });
    const half = await lineFor({ prompt: '[[violence=0.7]]' }, 'pk-demo-balanced');
    expect(half.floor).toBeCloseTo(0.6, 12);
    expect(half.budget).toBeCloseTo(8, 12);
    const full = { floor: 0.9, budget: 4 };
    expect(await lineFor({ prompt: '[[violence=0.95]]' }, 'pk-demo-balanced')).toMatchObject(full);
    for (const role of ['system', 'developer', 'assistant']) {
      const messages = [
        { role, content: `[[violence=0.95]] as ${role}` },
        { role: 'user', content: 'Go on.' },
      ];
      await (await post(under.edge, '/v1/chat/completions', { model: 'scripted', messages })).text();
      expect(backend.seen.at(-1)?.directive.line).toMatchObject(full);
    }
  });
  test.each(['any_harm', 'unread', 'uncertain'])('for %s, in every demo tenant that has a line', async (signal) => {
    for (const key of ['pk-demo-strict', 'pk-demo-balanced']) {
      const [calm, raised] = [
        await lineFor({ prompt: 'Calm' }, key),
        await lineFor({ prompt: `[[${signal}=1]]` }, key),
      ];
      expect(raised.floor, key).toBeGreaterThan(calm.floor);
    }
  });
  test('and the answer says what was not understood', async () => {
    const prompt = '[[unread=1]] [[uncertain=0.25]] [[any_harm=0.75]]';
    const answer = await post(under.edge, '/v1/chat/completions', ask(prompt));
    const { plimsoll } = (await answer.json()) as { plimsoll: AnswerExtension };
    expect(plimsoll).toMatchObject({ unread: 1, uncertain: 0.25 });
    expect(plimsoll.categories).toContainEqual({ name: 'any_harm', probability: 0.75 });
  });
  test('to the safety expert alone', async () => {
    expect(await lineFor({ prompt: '[[jailbreak=0.95]]' }, 'pk-demo-strict')).toMatchObject({
      action: 'safety_only',
      floor: 1,
      budget: 0,
    });
  });
  test('to a refusal that never reaches a backend', async () => {
    for (const stream of [false, true]) {
      const body = { ...ask('[[child_abuse=0.99]]'), stream };
      const answer = await post(under.edge, '/v1/chat/completions', body, 'pk-demo-strict');
      expect(answer.status).toBe(403);
      const { error } = (await answer.json()) as ErrorBody;
      expect(error).toMatchObject({ code: 'policy_refused', type: 'permission_error' });
      expect(error.message).toContain('child_abuse');
    }
    expect(backend.seen).toEqual([]);
  });
  test("by the operator's own rules for a tenant that has none", async () => {
    expect(await lineFor({ prompt: '[[child_abuse=0.99]]' }, 'pk-demo-open')).toMatchObject({
      action: 'safety_only',
      floor: 1,
      budget: 0,
    });
  });
});

describe('a classifier that fails applies every rule in full', () => {
  test.each(['throws', 'nan', 'silent'])('%s', async (failure) => {
    const prompt = `[[classifier:${failure}]]`;
    // For the balanced tenant these are the floor and budget of self_harm, its hardest category,
    // under the operator's child_abuse.
    expect(await lineFor({ prompt }, 'pk-demo-balanced')).toMatchObject({ action: 'safety_only', floor: 1, budget: 0 });
    expect((await post(under.edge, '/v1/chat/completions', ask(prompt), 'pk-demo-strict')).status).toBe(403);
  });
});

describe('a policy that is missing or broken becomes the strictest line', () => {
  const STRICTEST = { action: 'safety_only', floor: 1, ceiling: 1, budget: 0, rule: 'geometric' };
  const open = { floor: 0, budget: null };
  const broken = '{"floor":0}';

  test.each<[string, string, () => Promise<string[]>]>([
    ['no document', 'DELETE FROM policies', async () => []],
    ['no tenant', 'DELETE FROM tenant', async () => []],
    ['another document', 'UPDATE policies SET document = ?', async () => [canonicalPolicy(LOOSEST)]],
    ['half a document', 'UPDATE policies SET document = ?', async () => ['{"floor":']],
  ])('in the store: %s', async (name, statement, values) => {
    const id = `broken-${name.replaceAll(' ', '-')}`;
    const key = `pk-${id}`;
    await putTenant(id, open, key);
    await corrupt(id, key, statement, ...(await values()));
    const directive = await directiveFor({}, key);
    expect(directive).toMatchObject({ tenant: id, policy: expect.stringMatching(/^strictest-/), line: STRICTEST });
    expect(under.log.join('\n')).toContain('policy-broken');
  });

  test('in the store: a document of another shape, under the version that matches it', async () => {
    await putTenant('broken-shape', open, 'pk-broken-shape');
    const version = await policyVersion(broken);
    await corrupt('broken-shape', 'x', 'UPDATE policies SET document = ?, version = ?', broken, version);
    await corrupt('broken-shape', 'pk-broken-shape', 'UPDATE tenant SET policy_version = ?', version);
    expect(await lineFor({}, 'pk-broken-shape')).toMatchObject(STRICTEST);
  });

  test('in KV: a copy whose policy was changed', async () => {
    await putTenant('broken-copy', { floor: 0.9, budget: 1 }, 'pk-broken-copy');
    const kv = await under.edge.miniflare.getKVNamespace('TENANT_SNAPSHOTS');
    const name = `key:${sha256('pk-broken-copy')}`;
    const copy = (await kv.get(name, 'json')) as { readAtMs: number; snapshot: { levels: { document: string }[] } };
    copy.snapshot.levels[0]!.document = canonicalPolicy(LOOSEST);
    await kv.put(name, JSON.stringify(copy));
    expect(await lineFor({}, 'pk-broken-copy')).toMatchObject(STRICTEST);
  });

  test('but if a copy in KV is broken or old, the edge just asks the store', async () => {
    const kv = await under.edge.miniflare.getKVNamespace('TENANT_SNAPSHOTS');
    await putTenant('odd-copy', { floor: 0.4, budget: 1 }, 'pk-odd-copy');
    await kv.put(`key:${sha256('pk-odd-copy')}`, 'no JSON');
    expect(await lineFor({}, 'pk-odd-copy')).toMatchObject({ floor: 0.4 });

    await putTenant('old-copy', { floor: 0.4, budget: 1 }, 'pk-old-copy');
    const name = `key:${sha256('pk-old-copy')}`;
    const copy = (await kv.get(name, 'json')) as { readAtMs: number; snapshot: { tenant: string } };
    copy.readAtMs -= 61_000;
    copy.snapshot.tenant = 'demo-open';
    await kv.put(name, JSON.stringify(copy));
    expect(await directiveFor({}, 'pk-old-copy')).toMatchObject({ tenant: 'old-copy', line: { floor: 0.4 } });
  });
});

test('a policy changed elsewhere takes effect once this isolate has forgotten the old one', async () => {
  await putTenant('changed-elsewhere', { floor: 0.2, budget: 1 }, 'pk-changed-elsewhere');
  expect(await lineFor({}, 'pk-changed-elsewhere')).toMatchObject({ floor: 0.2 });
  const document = canonicalPolicy({ ...LOOSEST, floor: 0.7 });
  const version = await policyVersion(document);
  const change = 'UPDATE policies SET document = ?, version = ?';
  await corrupt('changed-elsewhere', 'pk-changed-elsewhere', change, document, version);
  await corrupt('changed-elsewhere', 'pk-changed-elsewhere', 'UPDATE tenant SET policy_version = ?', version);
  // The test's Worker keeps a snapshot for 300 ms.
  await new Promise((resolve) => setTimeout(resolve, 350));
  const effective = await effectivePolicy([
    { level: 'operator', version: null, policy: PolicyPart.parse(operatorPolicy), problem: null },
    await readLevel('tenant', document, version),
  ]);
  expect(await directiveFor({}, 'pk-changed-elsewhere')).toMatchObject({
    policy: effective.version,
    line: { floor: 0.7 },
  });
});

test('the directive binds request, tenant, key, policy and classifier versions and body, and has an id of its own', async () => {
  const answer = await post(under.edge, '/v1/chat/completions', ask('Bind'), 'pk-demo-open');
  const { directive, request } = backend.seen.at(-1) as ScriptedBackend['seen'][number];
  expect(directive.request).toBe(answer.headers.get('x-request-id'));
  expect(directive.digest).toBe(sha256(JSON.stringify(request)));
  expect(directive).toMatchObject({ key: 'demo', second_look: null, resume: null });
  const { plimsoll } = (await answer.json()) as { plimsoll: AnswerExtension };
  expect(plimsoll.policy).toEqual({ tenant: directive.tenant, version: directive.policy });
  expect(plimsoll.classifier).toBe(directive.classifier);

  await post(under.edge, '/v1/chat/completions', ask('Bind'), 'pk-demo-open');
  expect(backend.seen.at(-1)?.directive.id).not.toBe(directive.id);
});
