/**
 * An edge under test with limits and an account that tests set the clock of, for the tests of a
 * file.
 */
import { afterAll, beforeAll, expect } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import type { Limits } from '../objects/tenant-account-contract.ts';
import { ask, type EdgeUnderTest, startEdgeUnderTest, testKey } from './edge-under-test.ts';
import type { AccountCall } from './worker/account-call.ts';

/** The scripted answer, with the prompt 'Hi'. */
export const COST = 14;

export async function errorOf(answer: Response): Promise<ErrorBody['error'] & { status: number }> {
  return { ...((await answer.json()) as ErrorBody).error, status: answer.status };
}

export async function ok(answer: Response): Promise<Headers> {
  expect(await answer.text()).not.toContain('"error"');
  expect(answer.status).toBe(200);
  return answer.headers;
}

/**
 * Call it outside of any test, once in a file or a part of it.
 *
 * @param tenants one for each test, so that none spends what another needs
 */
export function limitsBench<Tenant extends string>(
  tenants: Record<Tenant, Partial<Limits>>,
  { backendCount = 1 }: { backendCount?: number } = {},
) {
  let under: EdgeUnderTest;
  beforeAll(async () => {
    under = await startEdgeUnderTest({ backendCount, limits: tenants, contextOf: () => 200 });
  });
  afterAll(() => under.dispose());

  const keyOf = (tenant: Tenant) => testKey(tenant);
  async function callAccount(tenant: Tenant, call: AccountCall['call'], argument: AccountCall['argument']) {
    const body: AccountCall = { tenant, call, argument };
    const answer = await fetch(`${under.edge.url}/testing/account`, { method: 'POST', body: JSON.stringify(body) });
    // The cast: `rows` returns them, and nobody reads what the others return.
    return (answer.ok ? await answer.json() : []) as Record<string, unknown>[];
  }
  const accountOf = (tenant: Tenant) => ({
    advance: (ms: number) => callAccount(tenant, 'advance', ms),
    fail: (calls: number) => callAccount(tenant, 'fail', calls),
    forget: () => callAccount(tenant, 'forget', 0),
    crash: () => callAccount(tenant, 'crash', 0),
    rows: (query: string) => callAccount(tenant, 'rows', query),
    // The cast: `ring` returns a moment, or null.
    ring: async () => (await callAccount(tenant, 'ring', 0)) as unknown as number | null,
  });
  const chat = (tenant: Tenant, body: object = {}, headers: Record<string, string> = {}) =>
    fetch(`${under.edge.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${keyOf(tenant)}`, 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ ...ask('Hi'), ...body }),
    });
  /** What the account holds, once nothing is under way any more. */
  async function charges(tenant: Tenant) {
    const account = accountOf(tenant);
    const read = () => account.rows('SELECT id, state, tokens, key, model FROM charges ORDER BY at, id');
    for (;;) {
      const rows = await read();
      if (rows.every(({ state }) => state !== 'open')) return rows;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  const tokensOf = async (tenant: Tenant) => (await charges(tenant)).map(({ tokens }) => tokens);

  return {
    ...{ accountOf, chat, charges, tokensOf, keyOf },
    get under() {
      return under;
    },
  };
}
