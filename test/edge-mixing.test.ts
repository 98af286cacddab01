/**
 * Experts in different pools: real backends over scripted engines, each with one expert, and the
 * Worker in its own runtime, which mixes their rows.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Engine } from '#gpu-backend/engine/engine.ts';
import { startScriptedEngine } from '#gpu-backend/engine/testing/scripted-engine.ts';
import { type Backend, serveEngine } from '#gpu-backend/server/start-backend.ts';
import { DRAW_SECRET, receiptKeys, SECRET } from '#gpu-backend/server/testing/backend-client.ts';
import type { ChatCompletion } from '#shared/api/chat-answer.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { adminClient } from '#workers/control/admin-client.ts';
import { sha256 } from '#workers/local/seed-demo-tenants.ts';
import { type Edge, startEdge } from '#workers/local/start-edge.ts';
import { createReceiptKey } from '#workers/testing/receipt-key.ts';

const OPERATOR_KEY = 'pk-demo-operator';
type Role = 'safety' | 'helpfulness' | 'all';

let dataDir: string;
let keys: Awaited<ReturnType<typeof receiptKeys>>;
let edgeKey: Awaited<ReturnType<typeof createReceiptKey>>;
const open: Backend[] = [];
const edges: Edge[] = [];
/** The Worker's log. */
const log: string[] = [];

beforeAll(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'plimsoll-mixing-'));
  keys = await receiptKeys();
  edgeKey = await createReceiptKey('edge-key');
});
afterEach(async () => {
  await Promise.all(edges.splice(0).map((edge) => edge.dispose()));
  await Promise.all(open.splice(0).map((backend) => backend.close()));
});
afterAll(() => rm(dataDir, { recursive: true, force: true }));

type Started = { backend: Backend; engine: Engine };

async function startBackend(
  serves: Role,
  name: string = serves,
  script: Parameters<typeof startScriptedEngine>[0] = {},
): Promise<Started> {
  const engine = await startScriptedEngine({ contextLength: 256, stepMs: 1, ...script });
  const config = {
    host: '127.0.0.1',
    port: 0,
    directiveSecret: SECRET,
    drawSecret: DRAW_SECRET,
    receiptPrivateJwk: keys.receiptPrivateJwk,
    backendId: name,
    graceMs: 0,
    bodyLimitBytes: 10_000,
    hostNames: null,
    serves,
  };
  const encode = (messages: readonly { content: string }[]) => ({
    promptIds: [...Buffer.from(messages.map(({ content }) => content).join('\n'))],
    rowPrompts: {},
  });
  const vocabulary = { eos: [0], banned: [], bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(id)) };
  const backend = await serveEngine(engine, encode, config, { log: () => {}, vocabulary });
  open.push(backend);
  return { backend, engine };
}

async function startWorker(backends: readonly Started[], overrides: Record<string, string> = {}): Promise<Edge> {
  const edge = await startEdge({
    port: 0,
    dataDir: path.join(dataDir, String(edges.length), crypto.randomUUID()),
    backends: backends.map(({ backend }) => backend.url),
    directiveSecret: SECRET,
    receiptJwks: keys.jwks,
    edgeReceiptJwk: edgeKey.privateJwk,
    operatorKeySha256: sha256(OPERATOR_KEY),
    log: (line) => log.push(line),
    overrides: { EDGE_MIXING_TOP_K: 'all', ...overrides },
  });
  edges.push(edge);
  const policies = { mixed: { floor: 0.3, budget: 12, modes: ['logits', 'edge'] }, plain: { floor: 0.3, budget: 12 } };
  for (const [id, policy] of Object.entries(policies)) {
    const answer = await adminClient(edge.url, OPERATOR_KEY).tenants[':id'].$put({
      param: { id },
      json: { name: id, policy, keys: [{ id: 'main', sha256: sha256(`pk-${id}`) }] },
    } as never);
    if (!answer.ok) throw new Error(`the tenant ${id} was not accepted: ${await answer.text()}`);
  }
  return edge;
}

const BODY = {
  model: 'scripted',
  messages: [{ role: 'user', content: 'Tell me about anchors.' }],
  max_tokens: 24,
  seed: 7,
  temperature: 1,
};

function ask(edge: Edge, body: object = {}, key = 'pk-mixed'): Promise<Response> {
  return fetch(`${edge.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...BODY, plimsoll: { mode: 'edge', trace: 'tokens' }, ...body }),
  });
}

async function answered(response: Response): Promise<ChatCompletion> {
  const body = await response.text();
  expect(response.status, `${body}\n${log.join('\n')}`).toBe(200);
  return JSON.parse(body) as ChatCompletion;
}

const idsOf = ({ plimsoll }: ChatCompletion) => plimsoll!.tokens!.map(({ id }) => id);

describe('with whole rows', () => {
  test('an answer mixed at the edge has the ids, the text and the account of one mixed by a backend', async () => {
    const all = [await startBackend('all'), await startBackend('safety'), await startBackend('helpfulness')];
    const edge = await startWorker(all);
    for (const sampling of [
      { temperature: 1 },
      { temperature: 0 },
      { temperature: 0.8, top_p: 0.9, stop: ['e'], seed: 11 },
    ]) {
      const mixed = await answered(await ask(edge, sampling));
      const logits = await answered(await ask(edge, { ...sampling, plimsoll: { mode: 'logits', trace: 'tokens' } }));
      expect(idsOf(mixed)).toEqual(idsOf(logits));
      expect(mixed.choices).toEqual(logits.choices);
      const { cached_tokens: _, ...usage } = { cached_tokens: 0, ...logits.usage };
      expect(mixed.usage).toEqual({
        prompt_tokens: usage.prompt_tokens,
        completion_tokens: usage.completion_tokens,
        total_tokens: usage.total_tokens,
      });
      expect(mixed.plimsoll!.spent).toBeCloseTo(logits.plimsoll!.spent!, 6);
      expect(mixed.plimsoll!.weights!.mean).toBeCloseTo(logits.plimsoll!.weights!.mean, 6);
    }
  });

  test('the receipt is the edge’s, names both backends, and can be checked by anyone', async () => {
    const edge = await startWorker([await startBackend('safety'), await startBackend('helpfulness')]);
    const answer = await answered(await ask(edge));
    const jwks = await (await fetch(`${edge.url}/.well-known/jwks.json`)).json();
    const receipt = await verifyReceipt(answer.plimsoll!.receipt!, jwks as never);
    expect(receipt).toMatchObject({ backend: 'edge', top_k: null, ran: { safety: 24, helpfulness: 24 } });
    expect(receipt.mixed).toMatchObject({
      safety: [{ backend: 'safety', from: 0, to: 24 }],
      helpfulness: [{ backend: 'helpfulness', from: 0, to: 24 }],
    });
    expect(answer.plimsoll!.mixing).toEqual({
      top_k: null,
      safety: ['safety'],
      helpfulness: ['helpfulness'],
      alone_from: null,
    });
    await expect(verifyReceipt(answer.plimsoll!.receipt!, keys.jwks)).rejects.toThrow();
  });
});
