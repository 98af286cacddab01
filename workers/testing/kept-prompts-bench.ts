/**
 * An edge under test whose tenants keep prompts, for the tests of a file. Each test has a tenant of
 * its own.
 */
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import { sha256 } from '../local/seed-demo-tenants.ts';
import { ask, type EdgeUnderTest, OPERATOR_KEY, post, startEdgeUnderTest } from './edge-under-test.ts';
import type { TrafficCall } from './worker/traffic-call.ts';

export const HOUR_MS = 60 * 60_000;
export const DAY_MS = 24 * HOUR_MS;
/** What a policy says that keeps every prompt. */
export const ALL = { traffic: true, share: 1 };

type Line = { kept_at: string; messages: { role: string; content: string }[] };
/** What was asked last in each. */
export const contents = (lines: Line[]) => lines.map(({ messages }) => messages.at(-1)!.content);
export const prompt = (content: string) => ({ messages: JSON.stringify(ask(content).messages), days: 7 });

/** Call it once in a file. Its functions are about the tenant of the test that runs. */
export function keptPromptsBench() {
  let under: EdgeUnderTest;
  let edge: EdgeUnderTest['edge'];
  beforeAll(async () => {
    under = await startEdgeUnderTest({ seed: false, contextOf: () => 100_000 });
    edge = under.edge;
  });
  afterAll(() => under.dispose());

  let count = 0;
  let tenant: string;
  let key: string;
  /** From now on, it is about this tenant. */
  function begin(name: string) {
    tenant = name;
    key = `pk-of-${tenant}`;
    return { tenant, key };
  }
  beforeEach(() => {
    count += 1;
    begin(`keeper-${count}`);
  });

  const admin = (method: string, route: string, { body, as = OPERATOR_KEY }: { body?: object; as?: string } = {}) =>
    fetch(`${edge.url}/admin/v1${route}`, {
      method,
      headers: { authorization: `Bearer ${as}`, 'if-match': '*' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  async function putTenant(policy: object, { id = tenant, plan = null as string | null } = {}): Promise<void> {
    const keys = [{ id: 'web', sha256: sha256(`pk-of-${id}`), scopes: ['inference', 'admin', 'prompts'] }];
    const body = { name: id, plan, policy: { floor: 0, budget: null, ...policy }, keys };
    const answer = await admin('PUT', `/tenants/${id}`, { body });
    expect([answer.status, await answer.text()]).toMatchObject([200, expect.any(String)]);
  }
  const chat = (content: string, more: object = {}, as = key) =>
    post(edge, '/v1/chat/completions', { ...ask(content), max_tokens: 4, ...more }, as).then(async (answer) => {
      return { status: answer.status, text: await answer.text() };
    });
  async function samples(id = tenant, query = ''): Promise<Line[]> {
    const answer = await admin('GET', `/tenants/${id}/samples${query}`);
    expect(answer.status).toBe(200);
    return (await answer.text())
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Line);
  }
  const storage = (id = tenant) =>
    edge.miniflare.unsafeGetDurableObjectStorage('plimsoll-edge', 'TenantTraffic', { name: id });
  async function rows(id = tenant): Promise<Record<string, unknown>[]> {
    return (await storage(id)).exec('SELECT * FROM prompts ORDER BY seq');
  }
  /** Waits until there are so many. A prompt is kept after its answer. */
  const kept = async (wanted: number, id = tenant): Promise<Record<string, unknown>[]> => {
    const found = await rows(id);
    expect(found.length).toBeLessThanOrEqual(wanted);
    if (found.length === wanted) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
    return kept(wanted, id);
  };
  async function call(call: TrafficCall['call'], argument?: unknown, id = tenant): Promise<unknown> {
    const body: TrafficCall = { tenant: id, call, argument };
    const answer = await fetch(`${edge.url}/testing/traffic`, { method: 'POST', body: JSON.stringify(body) });
    return answer.json();
  }
  // The cast: the scripted object answers so.
  const ring = async () => (await call('ring')) as { inMs: number; againInMs: number | null };
  async function refusal(route: string, as = OPERATOR_KEY) {
    const answer = await admin('GET', route, { as });
    const { error } = (await answer.json()) as { error: { code: string; param: string; message: string } };
    return { status: answer.status, ...error };
  }
  /** Runs `test` against another edge. */
  async function at(other: EdgeUnderTest['edge'], test: () => Promise<void>): Promise<void> {
    const former = edge;
    edge = other;
    await test().finally(() => {
      edge = former;
    });
  }

  return {
    ...{ begin, admin, putTenant, chat, samples, storage, rows, kept, call, ring, refusal, at },
    get under() {
      return under;
    },
    get tenant() {
      return tenant;
    },
    get key() {
      return key;
    },
  };
}
