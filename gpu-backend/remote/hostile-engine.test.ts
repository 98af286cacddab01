/**
 * An engine may answer anything. Whatever it is, the driver gives a row that is a distribution over
 * tokens of the vocabulary, or says which engine failed. Nothing else comes out, and nothing hangs.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { OwnRow } from '#shared/gate/pair-rows.ts';
import { EngineError, RemoteEngine } from './ask-engine.ts';
import { LLAMA_CPP } from './llama-cpp.ts';
import type { Dialect } from './remote-engine.ts';
import { SGLANG } from './sglang.ts';
import { VLLM } from './vllm.ts';

const VOCAB = 12;
const TOP_K = 3;
const POSITIONS = 3;
const LOGPROBS = [-0.4, -1.6, -3];
const tokens = [4, 7, 2];

/** Good answers, each to a question of three positions. */
const rows = { 'token_id:4': -0.4, 'token_id:7': -1.6, 'token_id:2': -3 };
const flat = tokens.map((id, i) => [LOGPROBS[i], id, null]);
const probs = { id: 4, logprob: -0.4, top_logprobs: tokens.map((id, i) => ({ id, logprob: LOGPROBS[i] })) };
const good: Record<'vllm' | 'sglang' | 'llamacpp', { dialect: Dialect; rows: unknown; goOn: unknown }> = {
  vllm: {
    dialect: VLLM,
    rows: {
      choices: [0, 1, 2].map((index) => ({ index, logprobs: { tokens: ['token_id:4'], top_logprobs: [rows] } })),
    },
    goOn: {
      choices: [{ index: 0, logprobs: { tokens: Array(3).fill('token_id:4'), top_logprobs: [rows, rows, rows] } }],
    },
  },
  sglang: {
    dialect: SGLANG,
    rows: { output_ids: [4], meta_info: { input_top_logprobs: [null, flat, flat], output_top_logprobs: [flat] } },
    goOn: { output_ids: [4, 4, 4], meta_info: { output_top_logprobs: [flat, flat, flat] } },
  },
  llamacpp: {
    dialect: LLAMA_CPP,
    rows: Array(3).fill({ completion_probabilities: [probs] }),
    goOn: { completion_probabilities: [probs, probs, probs], tokens: [4, 4, 4] },
  },
};

let answer: { status: number; text: string };
let url: string;
const server = createServer((request, response) => {
  request.resume();
  request.once('end', () => response.writeHead(answer.status).end(answer.text));
});
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // A server that listens on a port has an address with one.
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
});

/** Stands for text that JSON.stringify cannot write. */
const RAW = '__raw__';
const nonsense: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, '', 'x', 'token_id:4', 'token_id:999', -1, 0, 0.5, 1e300, -1e300, 12, 2 ** 53),
  fc.constantFrom(`${RAW}NaN`, `${RAW}1e999`, `${RAW}-1e999`, `${RAW}Infinity`),
  fc.constantFrom<unknown>([], {}, [[]], [{}], [null, null], { 'token_id:4': 1 }, { '': 0 }),
  fc.jsonValue(),
);

type Change = { at: number; how: 'replace' | 'remove' | 'double' | 'rename'; by: unknown };
const change: fc.Arbitrary<Change> = fc.record({
  at: fc.nat(),
  how: fc.constantFrom('replace', 'replace', 'remove', 'double', 'rename'),
  by: nonsense,
});

/** Every place in a value: who holds it, and under which name. */
function placesIn(value: unknown): { holder: Record<string, unknown> | unknown[]; key: string }[] {
  if (typeof value !== 'object' || value === null) return [];
  // An object is read as a record, and an array knows the same keys.
  const holder = value as Record<string, unknown>;
  return Object.keys(holder).flatMap((key) => [{ holder, key }, ...placesIn(holder[key])]);
}

function damage(value: unknown, changes: readonly Change[]): string {
  const whole = { value: structuredClone(value) };
  for (const { at, how, by } of changes) {
    const places = placesIn(whole);
    const place = places[at % places.length];
    if (place === undefined) break;
    const { holder, key } = place;
    // As above.
    const record = holder as Record<string, unknown>;
    // Copies: what stands at two places would be changed at both, and could hold itself.
    if (how === 'replace') record[key] = structuredClone(by);
    else if (how === 'double' && Array.isArray(holder)) holder.push(structuredClone(holder[Number(key)]));
    else if (how === 'rename') record[`token_id:${at % 20}`] = structuredClone(record[key]);
    else if (Array.isArray(holder)) holder.splice(Number(key), 1);
    else delete record[key];
  }
  return JSON.stringify(whole.value ?? null).replaceAll(new RegExp(`"${RAW}([^"]*)"`, 'g'), '$1');
}

const body = (value: unknown) =>
  fc.oneof(
    { weight: 8, arbitrary: fc.array(change, { minLength: 1, maxLength: 4 }).map((changes) => damage(value, changes)) },
    { weight: 1, arbitrary: fc.nat().map((at) => JSON.stringify(value).slice(0, at % JSON.stringify(value).length)) },
    { weight: 1, arbitrary: fc.string() },
  );

function expectSound(row: OwnRow): void {
  expect(row.ids.length).toBe(TOP_K);
  expect([...row.ids]).toEqual([...new Set(row.ids)].sort((a, b) => a - b));
  for (const id of row.ids) expect(id >= 0 && id < VOCAB).toBe(true);
  for (const lp of row.logprobs) expect(lp <= 0).toBe(true);
  const told = row.logprobs.reduce((sum, lp) => sum + Math.exp(lp), 0);
  expect(told).toBeGreaterThan(0);
  expect(Math.abs(told + row.left - 1)).toBeLessThanOrEqual(1.1e-3);
}

describe.each(['vllm', 'sglang', 'llamacpp'] as const)('%s', (name) => {
  const { dialect } = good[name];
  const engine = () =>
    new RemoteEngine({
      ...{ dialect, urls: [url], model: null, apiKey: null, timeoutMs: 600_000 },
      ...{ topK: TOP_K, vocabSize: VOCAB },
    });
  // Nobody asks again, so that a case takes no pauses.
  const asking = { affinity: '', cacheSalt: null, signal: new AbortController().signal, insists: false };

  test('what it should answer is read', async () => {
    answer = { status: 200, text: JSON.stringify(good[name].rows) };
    const found = await engine().rows([1, 2, 3], { ...asking, positions: POSITIONS });
    expect(found.map(({ ids }) => [...ids])).toEqual(Array(3).fill([2, 4, 7]));
    answer = { status: 200, text: JSON.stringify(good[name].goOn) };
    expect((await engine().goOn([1], { ...asking, count: 3 })).ids).toEqual([4, 4, 4]);
  });

  test.each(['rows', 'goOn'] as const)('anything else is a row or an error that names the engine: %s', async (kind) => {
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(body(good[name][kind]), fc.constantFrom(200, 200, 200, 400, 429, 503), async (text, status) => {
        answer = { status, text };
        try {
          if (kind === 'rows') {
            const found = await engine().rows([1, 2, 3], { ...asking, positions: POSITIONS });
            expect(found).toHaveLength(POSITIONS);
            for (const row of found) expectSound(row);
          } else {
            const { ids, rows } = await engine().goOn([1], { ...asking, count: 3 });
            expect(ids.length).toBe(rows.length);
            expect(ids.length).toBeLessThanOrEqual(3);
            for (const id of ids) expect(Number.isSafeInteger(id) && id >= 0 && id < VOCAB).toBe(true);
            for (const row of rows) expectSound(row);
          }
          expect(status).toBe(200);
        } catch (thrown) {
          if (!(thrown instanceof EngineError)) throw thrown;
          refused++;
          expect(thrown.message).toContain(url);
        }
      }),
      { numRuns: 400, endOnFailure: true },
    );
    expect(refused).toBeGreaterThan(100);
  });
});
