import { createHmac } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { uniformAt } from '#shared/gate/index.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import { canonicalJson } from './canonical-json.ts';
import { type DrawParts, drawKeysOf, drawSecretById, importDrawSecret } from './derive-draw-key.ts';
import { type GenerateBody, GenerateRequest } from './generate.ts';

const secret = await importDrawSecret('a draw secret of thirty-two bytes');

const PARTS: DrawParts = {
  directive: { tenant: 'acme', key: 'main', line: { ...OPEN_LINE, floor: 0.3, budget: 2 }, second_look: null },
  bundle: '0'.repeat(64),
  promptIds: [7, 70, 71],
  request: GenerateRequest.parse({
    model: 'm',
    messages: [{ role: 'user', content: 'hi' }],
    max_tokens: 8,
    stop: [],
    seed: 1,
    temperature: 1,
    top_p: 1,
  } satisfies GenerateBody),
};
const { directive, request } = PARTS;
const withLine = (line: Partial<typeof directive.line>) => ({
  directive: { ...directive, line: { ...directive.line, ...line } },
});
const withRequest = (changes: object) => ({ request: { ...request, ...changes } });

/** Another value of each parameter of a request, in the `n`-th of many ways if it shapes tokens. */
const SHAPING: Partial<{ [K in keyof GenerateRequest]: (n: number) => GenerateRequest[K] }> = {
  seed: (n) => n + 2,
  temperature: (n) => 1 + (n + 1) * 1e-6,
  top_p: (n) => 1 - (n + 1) * 1e-6,
  top_k: (n) => n + 1,
  min_p: (n) => (n + 1) * 1e-6,
  presence_penalty: (n) => (n + 1) * 1e-6,
  frequency_penalty: (n) => (n + 1) * -1e-6,
  repetition_penalty: (n) => 1 + (n + 1) * 1e-6,
  logit_bias: (n) => ({ [n]: 0.5 }),
  allowed_token_ids: (n) => [n],
  grammar: (n) => ({ type: 'literal', text: String(n) }),
  min_tokens: (n) => n + 1,
  prompt: (n) => [n],
  tools: (n) => [{ name: `tool-${n}` }],
};
const SHAPING_NOTHING: Partial<GenerateRequest> = {
  model: 'an alias',
  messages: [{ role: 'user', content: 'the same ids' }],
  max_tokens: 9,
  stop: ['x'],
  ignore_eos: true,
  n: 3,
  logprobs: true,
  top_logprobs: 5,
  expert_logprobs: true,
  echo: true,
};

/** Changes each bound part a little, in the `n`-th of many ways. */
type Changes = Partial<DrawParts> & { choice?: number };
const CHANGES: Record<string, (n: number) => Changes> = {
  tenant: (n) => ({ directive: { ...directive, tenant: `acme-${n}` } }),
  'API key': (n) => ({ directive: { ...directive, key: `key-${n}` } }),
  bundle: (n) => ({ bundle: n.toString(16).padStart(64, '0') }),
  prompt: (n) => ({ promptIds: [7, 70, 71, n] }),
  choice: (n) => ({ choice: n + 1 }),
  floor: (n) => withLine({ floor: 0.3 + (n + 1) * 1e-6 }),
  ceiling: (n) => withLine({ ceiling: 1 - (n + 1) * 1e-6 }),
  budget: (n) => withLine({ budget: 2 + (n + 1) * 1e-6 }),
  opening: (n) => withLine({ opening: { tokens: n + 1, floor: 0.5 } }),
  earned: (n) => withLine({ earned: { start: n, rate: 1 } }),
  'second look': (n) => ({ directive: { ...directive, second_look: { base: n * 1e-4, rules: {} } } }),
  ...Object.fromEntries(
    Object.entries(SHAPING).map(([name, change]) => [name, (n: number) => withRequest({ [name]: change(n) })]),
  ),
  'a parameter that may be added later': (n) => withRequest({ later: n + 1 }),
};
const ONE_OF_FEW: Record<string, Partial<DrawParts>> = {
  mode: withLine({ mode: 'layers' }),
  rule: withLine({ rule: 'arithmetic' }),
  action: withLine({ action: 'safety_only' }),
  'no budget': withLine({ budget: null }),
};

const keyOf = ({ choice = 0, ...changes }: Changes = {}, of = secret) =>
  drawKeysOf(of, { ...PARTS, ...changes })(choice);

test('a choice’s key is the HMAC of everything that shapes it, in one canonical text', async () => {
  const { directive, bundle, promptIds } = PARTS;
  const bound = (choice: number) =>
    canonicalJson([
      'plimsoll-draw/1',
      {
        ...directive,
        bundle,
        choice,
        request: { temperature: request.temperature, top_p: request.top_p, seed: request.seed },
      },
      promptIds,
    ]);
  for (const choice of [0, 1, 12]) {
    const mac = createHmac('sha256', 'a draw secret of thirty-two bytes').update(bound(choice)).digest();
    expect(await keyOf({ choice })).toEqual([0, 4, 8, 12].map((at) => mac.readUInt32BE(at)));
  }
});

test('equal requests have equal draws, whatever the order of their fields', async () => {
  const { seed, ...rest } = request;
  expect(await keyOf({ request: { seed, ...rest } })).toEqual(await keyOf());
});

test('each parameter of a request either shapes tokens and is bound, or is known to shape none', () => {
  const known = [...Object.keys(SHAPING), ...Object.keys(SHAPING_NOTHING)];
  expect(known.sort()).toEqual(Object.keys(GenerateRequest.shape).sort());
});

test.each(Object.entries(SHAPING_NOTHING))(
  'keeps the draws if the only change shapes no token: %s',
  async (name, to) => {
    expect(await keyOf(withRequest({ [name]: to }))).toEqual(await keyOf());
  },
);

test('a neutral value gives the same draws whether it is left out or not', async () => {
  const { temperature, top_p, seed, ...neutral } = request;
  expect(await keyOf({ request: { temperature, top_p, seed } as GenerateRequest })).toEqual(await keyOf());
  expect(neutral).toMatchObject({ top_k: 0, logit_bias: {}, allowed_token_ids: null });
});

describe('a change in any bound part gives other draws that reveal nothing about the first ones', () => {
  test.each(Object.entries(ONE_OF_FEW))('%s', async (_name, changes) => {
    const [a, b] = [await keyOf(), await keyOf(changes)];
    for (let position = 0; position < 50; position++) expect(uniformAt(a, position)).not.toBe(uniformAt(b, position));
  });

  test.each(Object.entries(CHANGES))('%s', async (_name, change) => {
    const base = await keyOf();
    const cells = new Array<number>(64).fill(0);
    const sampled = 3200;
    for (let n = 0; n < sampled; n++) {
      const changed = await keyOf(change(n));
      // The numbers before and after the change, in eighths. All 64 pairs must be equally likely.
      const [before, after] = [uniformAt(base, n), uniformAt(changed, n)].map((u) => Math.floor(8 * u));
      cells[8 * before! + after!]! += 1;
    }
    const expected = sampled / 64;
    // With 63 degrees of freedom, chi-squared exceeds 130 once in a million. The numbers are fixed,
    // so this passes always or never.
    expect(cells.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)).toBeLessThan(130);
  });
});

test('no two requests give the same key: names and numbers cannot run together', async () => {
  const seen = new Map<string, string>();
  await fc.assert(
    fc.asyncProperty(
      fc.string(),
      fc.string(),
      fc.array(fc.nat(9), { maxLength: 3 }),
      async (tenant, key, promptIds) => {
        const drawn = String(await keyOf({ directive: { ...directive, tenant, key }, promptIds }));
        const parts = JSON.stringify([tenant, key, promptIds]);
        expect(seen.get(drawn) ?? parts).toBe(parts);
        seen.set(drawn, parts);
      },
    ),
  );
});

test('another secret gives other draws and another id; the same secret has the same id everywhere', async () => {
  const other = await importDrawSecret('another draw secret of 32 bytes!!');
  expect(await keyOf({}, other)).not.toEqual(await keyOf());
  expect(other.id).not.toBe(secret.id);
  expect((await importDrawSecret('a draw secret of thirty-two bytes')).id).toBe(secret.id);
  expect(secret.id).toMatch(/^[0-9a-f]{8}$/);
  await expect(importDrawSecret('short')).rejects.toThrow(/at least 32/);
});

test('the key of a request never changes between versions', async () => {
  // An answer that was cut off under one version may continue under the next.
  expect(await keyOf()).toMatchInlineSnapshot(`
    [
      1894498336,
      4143650333,
      805940011,
      1090026946,
    ]
  `);
});

test('an answer that goes on finds the secret under which it began, and no other', async () => {
  const next = await importDrawSecret('the next draw secret, of thirty-two bytes');
  expect(drawSecretById([next, secret], secret.id)).toBe(secret);
  expect(drawSecretById([next, secret], next.id)).toBe(next);
  expect(drawSecretById([next], secret.id)).toBeNull();
});

describe('the mode `edge`', () => {
  const edge = { ...PARTS, ...withLine({ mode: 'edge' }) };
  const keyOf = (parts: DrawParts) => drawKeysOf(secret, parts)(0);

  test('draws from whole rows what a backend draws', async () => {
    expect(await keyOf(edge)).toEqual(await keyOf(PARTS));
    expect(await keyOf({ ...edge, rows: null })).toEqual(await keyOf(PARTS));
  });

  test('has other numbers for every k of truncated rows, because the distributions are others', async () => {
    const keys = await Promise.all([null, 1, 8, 64].map((rows) => keyOf({ ...edge, rows })));
    expect(new Set(keys.map(String)).size).toBe(4);
  });
});
