/**
 * The Worker in its own runtime, and two real backends over scripted experts, whose vocabulary is
 * the bytes: what a request does can be read in its answer.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import OpenAI from 'openai';
import { expect } from 'vitest';
import { startScriptedEngine } from '#gpu-backend/engine/testing/scripted-engine.ts';
import type { EncodeRaw } from '#gpu-backend/server/encode-raw.ts';
import { type Backend, serveEngine } from '#gpu-backend/server/start-backend.ts';
import { DRAW_SECRET, receiptKeys, SECRET } from '#gpu-backend/server/testing/backend-client.ts';
import { ChatCompletion } from '#shared/api/chat-answer.ts';
import { Completion } from '#shared/api/completion-answer.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { type Receipt, verifyReceipt } from '#shared/protocol/receipt.ts';
import { adminClient } from '#workers/control/admin-client.ts';
import { sha256 } from '#workers/local/seed-demo-tenants.ts';
import { startEdge } from '#workers/local/start-edge.ts';
import { createReceiptKey } from '#workers/testing/receipt-key.ts';
import { type BreakingLine, breakingLine } from './breaking-line.ts';

const OPERATOR_KEY = 'pk-demo-operator';
const PLAIN_KEY = 'pk-plain';

export const CHAT = {
  model: 'scripted',
  messages: [{ role: 'user' as const, content: 'Tell me about anchors.' }],
  max_tokens: 16,
};

export type ByteStack = {
  /** Whose keys the receipts are signed with. */
  jwks: Keys['jwks'];
  /** The ways to its two backends. */
  lines: BreakingLine[];
  /** Throws unless the token is a receipt of this stack. */
  receiptOf(token: string | undefined): Promise<Receipt>;
  /** Here and below, a key that is left out is that of the tenant `plain`. */
  client(key?: string): OpenAI;
  post(route: string, body: object, key?: string): Promise<Response>;
  /** With seed 7, unless the body has another one. Throws unless the status is 200. */
  chat(body?: object, key?: string): Promise<ChatCompletion>;
  /** As `chat`, for a plain prompt. */
  complete(body: object, key?: string): Promise<Completion>;
  refusal(route: string, body: object, key?: string): Promise<Refusal>;
  close(): Promise<void>;
};
type Keys = Awaited<ReturnType<typeof receiptKeys>>;
type Refusal = { status: number; code: string; param: string; message: string };

/** @param policies by tenant. The key of the tenant `t` is `pk-t` */
export async function startByteStack(policies: Readonly<Record<string, object>>): Promise<ByteStack> {
  const log: string[] = [];
  const dataDir = await mkdtemp(path.join(tmpdir(), 'plimsoll-bytes-'));
  const keys = await receiptKeys();
  const edgeKey = await createReceiptKey('edge-key');
  const backends = await Promise.all(['one', 'two'].map((name) => startBackend(name, keys.receiptPrivateJwk)));
  const lines = await Promise.all(backends.map(({ url }) => breakingLine(url)));
  const edge = await startEdge({
    port: 0,
    dataDir,
    backends: lines.map(({ url }) => url),
    directiveSecret: SECRET,
    receiptJwks: keys.jwks,
    edgeReceiptJwk: edgeKey.privateJwk,
    operatorKeySha256: sha256(OPERATOR_KEY),
    log: (line) => log.push(line),
  });
  for (const [id, policy] of Object.entries(policies)) {
    const answer = await adminClient(edge.url, OPERATOR_KEY).tenants[':id'].$put({
      param: { id },
      json: { name: id, policy, keys: [{ id: 'main', sha256: sha256(`pk-${id}`) }] },
    } as never);
    if (!answer.ok) throw new Error(`the tenant ${id} was not accepted: ${await answer.text()}`);
  }
  const post: ByteStack['post'] = (route, body, key = PLAIN_KEY) =>
    fetch(`${edge.url}/v1/${route}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const jsonOf = async (answer: Response): Promise<unknown> => {
    const text = await answer.text();
    expect(answer.status, `${text}\n${log.slice(-5).join('\n')}`).toBe(200);
    return JSON.parse(text);
  };
  return {
    jwks: keys.jwks,
    lines,
    post,
    receiptOf: (token) => verifyReceipt(token ?? '', keys.jwks),
    client: (key = PLAIN_KEY) => new OpenAI({ apiKey: key, baseURL: `${edge.url}/v1`, maxRetries: 0 }),
    chat: async (body = {}, key = PLAIN_KEY) =>
      ChatCompletion.parse(await jsonOf(await post('chat/completions', { ...CHAT, seed: 7, ...body }, key))),
    complete: async (body, key = PLAIN_KEY) =>
      Completion.parse(await jsonOf(await post('completions', { model: 'scripted', seed: 7, ...body }, key))),
    async refusal(route, body, key = PLAIN_KEY) {
      const answer = await post(route, body, key);
      const { error } = (await answer.json()) as { error: Omit<Refusal, 'status'> };
      return { status: answer.status, ...error };
    },
    async close() {
      await edge.dispose();
      await Promise.all(lines.map((line) => line.close()));
      await Promise.all(backends.map((backend) => backend.close()));
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** The token ids of a text: the vocabulary is the bytes. */
export const bytesOf = (text: string) => [...Buffer.from(text)];
const vocabulary = { eos: [0], banned: [], bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(id)) };
const encodeRaw: EncodeRaw = {
  encode: (prompt) => ({ promptIds: typeof prompt === 'string' ? bytesOf(prompt) : [...prompt], rowPrompts: {} }),
  decode(ids) {
    const other = ids.findIndex((id) => id === 0 || id > 255);
    if (other < 0) return Buffer.from(ids).toString();
    throw new PlimsollError('invalid_value', `'prompt[${other}]' is no token.`, { param: `prompt[${other}]` });
  },
};

async function startBackend(backendId: string, receiptPrivateJwk: Keys['receiptPrivateJwk']): Promise<Backend> {
  const engine = await startScriptedEngine({ contextLength: 256 });
  const config = {
    host: '127.0.0.1',
    port: 0,
    directiveSecret: SECRET,
    drawSecret: DRAW_SECRET,
    receiptPrivateJwk,
    backendId,
    graceMs: 0,
    bodyLimitBytes: 100_000,
    hostNames: null,
  };
  const encode = (messages: readonly { content: string }[]) => ({
    promptIds: bytesOf(messages.map(({ content }) => content).join('\n')),
    rowPrompts: {},
  });
  return serveEngine(engine, encode, config, { log: () => {}, vocabulary, encodeRaw });
}

/** The events of a stream that has come to its end. */
export async function eventsOf(answer: Response): Promise<unknown[]> {
  const text = await answer.text();
  expect(text.endsWith('data: [DONE]\n\n'), text.slice(-500)).toBe(true);
  return text
    .split('\n\n')
    .filter((event) => event.startsWith('data: {'))
    .map((event) => JSON.parse(event.slice('data: '.length)) as unknown);
}

export const textOf = (answer: ChatCompletion) => answer.choices[0].message.content;
