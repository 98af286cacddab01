/** `POST /v1/tokenize` of a whole backend, from its folder on. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ErrorBody } from '#shared/api/errors.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import { scoreKey, signScoreOrder } from '#shared/protocol/score.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { signTokenizeOrder, TOKENIZE_PATH, type TokenizerWork, tokenizeKey } from '#shared/protocol/tokenize.ts';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { loadBundleHead } from '../model/load-bundle.ts';
import { writeBundle } from '../model/write-bundle.ts';
import { type Backend, startBackend } from './start-backend.ts';
import { DRAW_SECRET, receiptKeys, SECRET } from './testing/backend-client.ts';
import { tokenizerWorker } from './tokenize-route.ts';

let dir: string;
let backend: Backend;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tokenize-backend-'));
  await writeBundle(dir, tinyBundle(), { dtype: 'f32' });
  const { receiptPrivateJwk } = await receiptKeys();
  const secrets = { directiveSecret: SECRET, drawSecret: DRAW_SECRET, receiptPrivateJwk };
  backend = await startBackend({ bundle: dir, port: 0, threads: 1, ...secrets }, { log: () => {} });
});
afterAll(async () => {
  await backend.close();
  await rm(dir, { recursive: true });
});

const TEXT = { kind: 'text', model: 'tiny', text: ' the tin', special: true, strings: true } as const;
const CHAT = {
  kind: 'chat',
  model: 'tiny',
  messages: [{ role: 'user', content: 'the <|end|>' }],
  generation_prompt: true,
  special: false,
  strings: false,
} as const;

async function send(
  work: object,
  { id = crypto.randomUUID(), signed = work, kind = 'tokenize' as 'tokenize' | 'score' | 'none' } = {},
): Promise<Response> {
  const order = { id, request: 'req_1', tenant: 'acme', digest: await sha256Hex(JSON.stringify(signed)) };
  const key = directiveKey(SECRET);
  const token =
    kind === 'score'
      ? await signScoreOrder(order, await scoreKey(key))
      : await signTokenizeOrder(order, await tokenizeKey(key));
  const headers = kind === 'none' ? {} : { authorization: `Bearer ${token}` };
  return fetch(`${backend.url}${TOKENIZE_PATH}`, { method: 'POST', headers, body: JSON.stringify(work) });
}
const codeOf = async (answer: Response) => {
  const { error } = (await answer.json()) as ErrorBody;
  return [answer.status, error.code, error.param];
};

test('gives the tokens of a text and what the vocabulary calls them', async () => {
  const { tokenizer, config } = await loadBundleHead(dir);
  const answer = await (await send(TEXT satisfies TokenizerWork)).json();
  expect(answer).toEqual({
    ids: tokenizer.encode(' the tin'),
    strings: ['Ġthe', 'Ġt', 'in'],
    context_length: config.max_position_embeddings,
  });
});

test('gives the tokens of a conversation as the model reads it; no text of a client is a control token', async () => {
  const { renderChat } = await loadBundleHead(dir);
  const messages = [...CHAT.messages];
  const ids = async (work: object) => ((await (await send(work)).json()) as { ids: number[] }).ids;
  expect(await ids(CHAT)).toEqual(renderChat(messages));
  expect((await ids(CHAT)).filter((id) => id === 5)).toHaveLength(1);
  const open = await ids({ ...CHAT, generation_prompt: false });
  expect(open).toEqual(renderChat(messages, { addGenerationPrompt: false }));
  expect(open).not.toEqual(renderChat(messages));
});

test('gives the text of tokens, with special ones by their names', async () => {
  const { tokenizer } = await loadBundleHead(dir);
  const text = 'the “tin” 😀';
  const ids = [1, ...tokenizer.encode(text), 5];
  expect(await (await send({ kind: 'ids', model: 'tiny', ids })).json()).toEqual({ text: `<|bos|>${text}<|end|>` });
  expect(await codeOf(await send({ kind: 'ids', model: 'tiny', ids: [1, 99_999] }))).toEqual([
    400,
    'invalid_value',
    'tokens[1]',
  ]);
});

test('refuses a text that cannot fit into the context, unread', async () => {
  const work = { ...TEXT, text: 'x'.repeat(200_000) };
  expect(await codeOf(await send(work))).toEqual([400, 'context_length_exceeded', 'messages']);
});

test('refuses a text of many bytes for each token of the context, whatever the longest token is', async () => {
  const { tokenizer, renderChat } = await loadBundleHead(dir);
  const long = Object.defineProperty(Object.create(tokenizer), 'maxTokenBytes', { value: 100_000 });
  const work = tokenizerWorker({ tokenizer: long, renderChat }, 64);
  const text = 'x'.repeat(64 * 8 + 1);
  const about = (param: string) => expect.objectContaining({ code: 'string_above_max_length', param });
  expect(() => work({ ...TEXT, text })).toThrow(about('prompt'));
  const messages = [{ role: 'user' as const, content: text }];
  expect(() => work({ ...CHAT, messages })).toThrow(about('messages'));
});

test('works only with a fresh order of the edge for this very body', async () => {
  const refused = [401, 'directive_invalid', null];
  expect(await codeOf(await send(TEXT, { kind: 'none' }))).toEqual(refused);
  expect(await codeOf(await send(TEXT, { kind: 'score' }))).toEqual(refused);
  expect(await codeOf(await send(TEXT, { signed: { ...TEXT, text: 'other' } }))).toEqual(refused);
  const id = crypto.randomUUID();
  expect((await send(TEXT, { id })).status).toBe(200);
  expect(await codeOf(await send(TEXT, { id }))).toEqual(refused);
  expect(await codeOf(await send({ ...TEXT, model: 'other' }))).toEqual([404, 'model_not_found', 'model']);
});
