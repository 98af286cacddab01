/**
 * The Worker in the real runtime, in front of scripted backends, with the demo tenants in its
 * store.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { PLAIN_SAMPLING, type Sampling } from '#shared/api/sampling.ts';
import { BACKEND_MODES, type Mode } from '#shared/line/line.ts';
import type { ToolSyntax } from '#shared/tools/tool-syntax.ts';
import { adminClient } from '../control/admin-client.ts';
import { seedDemoTenants, sha256 } from '../local/seed-demo-tenants.ts';
import { type Edge, type EdgeOptions, startEdge } from '../local/start-edge.ts';
import type { Limits } from '../objects/tenant-account-contract.ts';
import { createReceiptKey, type ReceiptKey } from './receipt-key.ts';
import { type ScriptedBackend, startScriptedBackend } from './scripted-backend.ts';

export const OPERATOR_KEY = 'pk-demo-operator';
export const DIRECTIVE_SECRET = 'a secret that only tests have, 32 bytes long';

export type EdgeUnderTest = {
  edge: Edge;
  backends: ScriptedBackend[];
  receiptKey: ReceiptKey;
  /** What the edge signs its own receipts with. */
  edgeKey: ReceiptKey;
  /** The Worker's log. */
  log: string[];
  dispose(): Promise<void>;
};

export async function startEdgeUnderTest({
  backendCount = 1,
  modesOf = () => BACKEND_MODES,
  modelOf = () => 'scripted',
  contextOf = () => 64,
  probeOf = () => null,
  scoresOf = () => null,
  samplingOf = () => PLAIN_SAMPLING,
  toolSyntaxOf = () => 'hermes',
  seed = true,
  overrides = {},
  entry = 'main.ts',
  prepare = async () => {},
  limits = {},
  without = [],
  sharedCache = false,
  withConsole = false,
}: {
  backendCount?: number;
  /** The modes that the backend at an index offers. By default, it offers all of them. */
  modesOf?: (index: number) => readonly Mode[];
  modelOf?: (index: number) => string;
  contextOf?: (index: number) => number;
  /** What the second look of the backend at an index finds. By default, none takes one. */
  probeOf?: (index: number) => ScriptedBackend['probe'];
  /** What the heads of the backend at an index make of any answer. By default, none has heads. */
  scoresOf?: (index: number) => ScriptedBackend['scores'];
  samplingOf?: (index: number) => Sampling;
  /** In which the model of the backend at an index writes calls; null: it takes no tools. */
  toolSyntaxOf?: (index: number) => ToolSyntax | null;
  seed?: boolean;
  overrides?: NonNullable<EdgeOptions['overrides']>;
  /** A file in workers/testing/worker. */
  entry?: string;
  /** Called with the folder of the local state before anything has been written there. */
  prepare?: (dataDir: string) => Promise<void>;
  /** Of further tenants, by id. Each has a line that bounds nothing, and the key `testKey(id)`. */
  limits?: Readonly<Record<string, Partial<Limits>>>;
  /** Bindings to leave out. */
  without?: readonly string[];
  /** Whether the Cache API keeps anything. */
  sharedCache?: boolean;
  /** Whether to build and serve the console. */
  withConsole?: boolean;
} = {}): Promise<EdgeUnderTest> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'plimsoll-edge-'));
  await prepare(dataDir);
  const log: string[] = [];
  const receiptKey = await createReceiptKey('test-key');
  const edgeKey = await createReceiptKey('edge-key');
  const backends = await Promise.all(
    Array.from({ length: backendCount }, (_, index) =>
      startScriptedBackend({
        name: `backend-${index}`,
        directiveSecret: DIRECTIVE_SECRET,
        receiptKey,
        modes: modesOf(index),
        model: modelOf(index),
        contextLength: contextOf(index),
        probe: probeOf(index),
        scores: scoresOf(index),
        sampling: samplingOf(index),
        toolSyntax: toolSyntaxOf(index),
      }),
    ),
  );
  const edge = await startEdge({
    port: 0,
    dataDir,
    backends: backends.map(({ url }) => url),
    directiveSecret: DIRECTIVE_SECRET,
    receiptJwks: receiptKey.jwks,
    edgeReceiptJwk: edgeKey.privateJwk,
    operatorKeySha256: sha256(OPERATOR_KEY),
    entry: fileURLToPath(new URL(`./worker/${entry}`, import.meta.url)),
    log: (line) => log.push(line),
    inspectStorage: true,
    overrides,
    without,
    sharedCache,
    withConsole,
  });
  if (seed) await seedDemoTenants(edge.url, OPERATOR_KEY);
  for (const [id, given] of Object.entries(limits)) await putTenant(edge, id, given);
  return {
    edge,
    backends,
    receiptKey,
    edgeKey,
    log,
    async dispose() {
      await edge.dispose();
      await Promise.all(backends.map((backend) => backend.close()));
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

async function putTenant(edge: Edge, id: string, limits: Partial<Limits>): Promise<void> {
  const answer = await adminClient(edge.url, OPERATOR_KEY).tenants[':id'].$put({
    param: { id },
    json: { name: id, policy: { floor: 0, budget: null, limits }, keys: [{ id: 'main', sha256: sha256(testKey(id)) }] },
  });
  if (!answer.ok) throw new Error(`the tenant ${id} was not accepted: ${await answer.text()}`);
}

/** The key of a tenant that `limits` has made. */
export const testKey = (id: string) => `pk-test-${id}`;

/**
 * OpenAI's client, unchanged, pointed at the edge. It does not retry, so that a test sees every
 * answer.
 */
export function openaiClient(edge: Edge, apiKey = 'pk-demo-balanced'): OpenAI {
  return new OpenAI({ apiKey, baseURL: `${edge.url}/v1`, maxRetries: 0 });
}

/** A single user turn: the smallest possible request. */
export function ask(content: string) {
  return { model: 'scripted', messages: [{ role: 'user' as const, content }] };
}

/** A request that bypasses the client, for what the client would not send or would hide. */
export function post(edge: Edge, route: string, body: unknown, key = 'pk-demo-balanced'): Promise<Response> {
  return fetch(`${edge.url}${route}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

/** The database behind a tenant's object, to be looked into and damaged. */
export function storageOf({ edge }: EdgeUnderTest, tenant: string) {
  return edge.miniflare.unsafeGetDurableObjectStorage('plimsoll-edge', 'TenantObject', { name: tenant });
}

/** Waits for something that happens in its own time. Fails with the last value it saw. */
export async function eventually<T>(read: () => T, isThere: (value: T) => boolean, ms = 5_000): Promise<T> {
  const deadline = Date.now() + ms;
  for (;;) {
    const value = read();
    if (isThere(value)) return value;
    if (Date.now() > deadline) throw new Error(`still ${JSON.stringify(value)} after ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
