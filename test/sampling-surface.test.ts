/**
 * The parameters of a request, from OpenAI's client to the gate and back: the Worker in its own
 * runtime, and real backends over scripted experts, whose vocabulary is the bytes.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startScriptedEngine } from '#gpu-backend/engine/testing/scripted-engine.ts';
import type { EncodeRaw } from '#gpu-backend/server/encode-raw.ts';
import { type Backend, serveEngine } from '#gpu-backend/server/start-backend.ts';
import { DRAW_SECRET, receiptKeys, SECRET } from '#gpu-backend/server/testing/backend-client.ts';
import { ChatCompletion, ChatCompletionChunk } from '#shared/api/chat-answer.ts';
import { Completion, CompletionChunk } from '#shared/api/completion-answer.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { inspectReceipt } from '#shared/protocol/inspect-receipt.ts';
import { type Receipt, verifyReceipt } from '#shared/protocol/receipt.ts';
import { adminClient } from '#workers/control/admin-client.ts';
import { sha256 } from '#workers/local/seed-demo-tenants.ts';
import { type Edge, startEdge } from '#workers/local/start-edge.ts';
import { createReceiptKey } from '#workers/testing/receipt-key.ts';

const OPERATOR_KEY = 'pk-demo-operator';
const POLICIES = {
  plain: { floor: 0.3, budget: 12 },
  shy: { floor: 0.3, budget: 12, shaping: { n: 2, logprobs: false, bias: false, penalties: false } },
  chats: { floor: 0.3, budget: 12, shaping: { plain_prompts: false } },
  cached: { floor: 0.3, budget: 12, cache: { answers: true } },
  careful: {
    ...{ floor: 0.1, budget: null },
    categories: { any_harm: { action: 'refuse', floor: 1, ramp: { from: 0.2, full: 0.5 } } },
  },
  free: { floor: 0, budget: null },
  counted: { floor: 0, budget: null, limits: { tokens_per_minute: 100_000 } },
  tried: { floor: 0, budget: null, limits: { tries_per_prompt_per_minute: 5 } },
};

let dataDir: string;
let keys: Awaited<ReturnType<typeof receiptKeys>>;
let edge: Edge;
const backends: Backend[] = [];
const lines: BreakingLine[] = [];
const log: string[] = [];

beforeAll(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'plimsoll-surface-'));
  keys = await receiptKeys();
  const edgeKey = await createReceiptKey('edge-key');
  for (const name of ['one', 'two']) {
    const backend = await startBackend(name);
    backends.push(backend);
    lines.push(await breakingLine(backend.url));
  }
  edge = await startEdge({
    port: 0,
    dataDir,
    backends: lines.map(({ url }) => url),
    directiveSecret: SECRET,
    receiptJwks: keys.jwks,
    edgeReceiptJwk: edgeKey.privateJwk,
    operatorKeySha256: sha256(OPERATOR_KEY),
    log: (line) => log.push(line),
  });
  for (const [id, policy] of Object.entries(POLICIES)) {
    const answer = await adminClient(edge.url, OPERATOR_KEY).tenants[':id'].$put({
      param: { id },
      json: { name: id, policy, keys: [{ id: 'main', sha256: sha256(`pk-${id}`) }] },
    } as never);
    if (!answer.ok) throw new Error(`the tenant ${id} was not accepted: ${await answer.text()}`);
  }
});
afterAll(async () => {
  await edge?.dispose();
  await Promise.all(lines.map((line) => line.close()));
  await Promise.all(backends.map((backend) => backend.close()));
  await rm(dataDir, { recursive: true, force: true });
});

const bytesOf = (text: string) => [...Buffer.from(text)];
const vocabulary = { eos: [0], banned: [], bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(id)) };
const encodeRaw: EncodeRaw = {
  encode: (prompt) => ({ promptIds: typeof prompt === 'string' ? bytesOf(prompt) : [...prompt], rowPrompts: {} }),
  decode(ids) {
    const other = ids.findIndex((id) => id === 0 || id > 255);
    if (other < 0) return Buffer.from(ids).toString();
    throw new PlimsollError('invalid_value', `'prompt[${other}]' is no token.`, { param: `prompt[${other}]` });
  },
};

async function startBackend(backendId: string): Promise<Backend> {
  const engine = await startScriptedEngine({ contextLength: 256 });
  const config = {
    host: '127.0.0.1',
    port: 0,
    directiveSecret: SECRET,
    drawSecret: DRAW_SECRET,
    receiptPrivateJwk: keys.receiptPrivateJwk,
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

/** A way to a backend that breaks in the middle of the next answer, if it is told to. */
type BreakingLine = { url: string; breakAfter: number | null; broken: number; close(): Promise<void> };

async function breakingLine(target: string): Promise<BreakingLine> {
  const to = Number(new URL(target).port);
  const sockets = new Set<Socket>();
  const server: Server = createServer();
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    const upstream = connect(to, '127.0.0.1');
    for (const one of [socket, upstream]) {
      sockets.add(one);
      one.on('error', () => {});
      one.on('close', () => {
        sockets.delete(one);
        socket.destroy();
        upstream.destroy();
      });
    }
    socket.pipe(upstream);
    let tokens = 0;
    upstream.on('data', (data: Buffer) => {
      tokens += data.toString('latin1').split('"type":"token"').length - 1;
      socket.write(data);
      if (line.breakAfter === null || tokens < line.breakAfter) return;
      line.breakAfter = null;
      line.broken++;
      // What was written is sent first.
      socket.end();
      upstream.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const line: BreakingLine = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    breakAfter: null,
    broken: 0,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return line;
}

const CHAT = { model: 'scripted', messages: [{ role: 'user', content: 'Tell me about anchors.' }], max_tokens: 16 };
const client = (key = 'pk-plain') => new OpenAI({ apiKey: key, baseURL: `${edge.url}/v1`, maxRetries: 0 });

function post(route: string, body: object, key = 'pk-plain'): Promise<Response> {
  return fetch(`${edge.url}/v1/${route}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

async function chat(body: object = {}, key = 'pk-plain'): Promise<ChatCompletion> {
  const answer = await post('chat/completions', { ...CHAT, seed: 7, ...body }, key);
  const text = await answer.text();
  expect(answer.status, `${text}\n${log.slice(-5).join('\n')}`).toBe(200);
  return ChatCompletion.parse(JSON.parse(text));
}

async function complete(body: object, key = 'pk-plain'): Promise<Completion> {
  const answer = await post('completions', { model: 'scripted', seed: 7, ...body }, key);
  const text = await answer.text();
  expect(answer.status, `${text}\n${log.slice(-5).join('\n')}`).toBe(200);
  return Completion.parse(JSON.parse(text));
}

async function refusal(route: string, body: object, key = 'pk-plain') {
  const answer = await post(route, body, key);
  const { error } = (await answer.json()) as { error: { code: string; param: string; message: string } };
  return { status: answer.status, ...error };
}

async function eventsOf(answer: Response): Promise<unknown[]> {
  const text = await answer.text();
  expect(text.endsWith('data: [DONE]\n\n'), text.slice(-500)).toBe(true);
  return text
    .split('\n\n')
    .filter((event) => event.startsWith('data: {'))
    .map((event) => JSON.parse(event.slice('data: '.length)) as unknown);
}

const textOf = (answer: ChatCompletion) => answer.choices[0].message.content;
const receiptOf = (token: string | undefined): Promise<Receipt> => verifyReceipt(token ?? '', keys.jwks);

describe('what shapes an answer reaches the gate', () => {
  test('biases, masks, penalties and ends do what they say', async () => {
    expect(textOf(await chat({ logit_bias: { 120: 100 }, max_tokens: 5 }, 'pk-free'))).toBe('xxxxx');
    // A budget has the last word.
    expect(textOf(await chat({ logit_bias: { 120: 100 }, max_tokens: 5 }))).not.toBe('xxxxx');
    expect(textOf(await chat({ allowed_token_ids: [97, 98] }))).toMatch(/^[ab]{16}$/);
    const greedy = textOf(await chat({ temperature: 0 }, 'pk-free'));
    expect(textOf(await chat({ top_k: 1 }, 'pk-free'))).toBe(greedy);
    expect(textOf(await chat({ min_p: 1, seed: 9 }, 'pk-free'))).toBe(greedy);
    const plain = textOf(await chat());
    for (const change of [
      { presence_penalty: 1 },
      { frequency_penalty: -1 },
      { repetition_penalty: 1.3 },
      { min_tokens: 3 },
      { seed: 8 },
    ]) {
      expect(textOf(await chat(change)), JSON.stringify(change)).not.toBe(plain);
    }
    expect(textOf(await chat({ top_k: -1, min_p: 0, repetition_penalty: 1, n: 1, logit_bias: {} }))).toBe(plain);
  });

  test('the tenant’s policy says which of it is allowed', async () => {
    for (const [param, value] of Object.entries({
      logprobs: true,
      logit_bias: { 7: 1 },
      allowed_token_ids: [97],
      min_tokens: 2,
      ignore_eos: true,
      presence_penalty: 1,
      repetition_penalty: 1.1,
      n: 3,
    })) {
      const found = await refusal('chat/completions', { ...CHAT, [param]: value }, 'pk-shy');
      expect(found).toMatchObject({ status: 400, code: 'unsupported_value', param });
      expect(found.message).toMatch(/tenant's policy/);
    }
    expect((await chat({ n: 2 }, 'pk-shy')).choices).toHaveLength(2);
    const legacy = await refusal('completions', { model: 'scripted', prompt: 'a', logprobs: 1 }, 'pk-shy');
    expect(legacy).toMatchObject({ code: 'unsupported_value', param: 'logprobs' });
  });

  test('what a backend alone can tell is refused in OpenAI’s words', async () => {
    expect(await refusal('chat/completions', { ...CHAT, logit_bias: { 999: 1 } })).toMatchObject({
      ...{ status: 400, code: 'invalid_value', param: 'logit_bias' },
    });
    expect(await refusal('chat/completions', { ...CHAT, allowed_token_ids: [999] })).toMatchObject({
      ...{ status: 400, code: 'invalid_value', param: 'allowed_token_ids' },
    });
    expect(await refusal('chat/completions', { ...CHAT, min_tokens: 17 })).toMatchObject({
      ...{ status: 400, code: 'invalid_value', param: 'min_tokens' },
    });
  });
});

test('log-probabilities: one entry for each token, with bytes and the likeliest, whole and streamed', async () => {
  const asked = { logprobs: true, top_logprobs: 3 };
  const whole = await chat(asked);
  const { content } = whole.choices[0].logprobs!;
  expect(content).toHaveLength(whole.usage.completion_tokens);
  expect(content.map(({ token }) => token).join('')).toBe(textOf(whole));
  for (const { token, bytes, logprob, top_logprobs } of content) {
    expect(bytes === null ? '' : Buffer.from(bytes).toString()).toBe(token);
    expect(logprob).toBeLessThanOrEqual(0);
    expect(top_logprobs).toHaveLength(3);
    const sorted = top_logprobs.map((rival) => rival.logprob);
    expect(sorted).toEqual(sorted.toSorted((a, b) => b - a));
    expect(logprob).toBeLessThanOrEqual(sorted[0]! + 1e-9);
  }
  // The same draws as without.
  expect(textOf(await chat())).toBe(textOf(whole));
  const stream = await post('chat/completions', { ...CHAT, seed: 7, stream: true, ...asked });
  const chunks = (await eventsOf(stream)).map((event) => ChatCompletionChunk.parse(event));
  expect(chunks.flatMap(({ choices }) => choices[0]?.logprobs?.content ?? [])).toEqual(content);
  const none = await chat({ logprobs: true });
  expect(none.choices[0].logprobs!.content.every(({ top_logprobs }) => top_logprobs.length === 0)).toBe(true);
  // A trace beside them lists no rivals that it was not asked for, and no expert's numbers leak.
  const traced = await chat({ ...asked, plimsoll: { trace: 'tokens', top: 1 } });
  expect(traced.plimsoll.tokens?.every(({ top }) => top?.length === 1)).toBe(true);
  expect(traced.choices[0].logprobs).toEqual(whole.choices[0].logprobs);
});

describe('several answers', () => {
  test('have draws and receipts of their own, and the first are those of a request for fewer', async () => {
    const three = await chat({ n: 3 });
    expect(three.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    const texts = three.choices.map(({ message }) => message.content);
    expect(new Set(texts).size).toBe(3);
    const [one, two] = [await chat(), await chat({ n: 2 })];
    expect([textOf(one), ...two.choices.map(({ message }) => message.content)]).toEqual([
      texts[0],
      ...texts.slice(0, 2),
    ]);
    const receipts = await Promise.all(
      three.choices.map(({ plimsoll }) => receiptOf((plimsoll ?? three.plimsoll).receipt)),
    );
    for (const [choice, receipt] of receipts.entries()) {
      expect(receipt).toMatchObject({ choice, choices: 3, answer_digest: sha256(texts[choice]!) });
    }
    const drawn = receipts.reduce((sum, { usage }) => sum + usage.completion_tokens, 0);
    expect(three.usage).toMatchObject({
      prompt_tokens: one.usage.prompt_tokens,
      completion_tokens: drawn,
      total_tokens: one.usage.prompt_tokens + drawn,
    });
    const inspected = await inspectReceipt(three.choices[1]!.plimsoll!.receipt!, {
      jwks: keys.jwks,
      prompt: JSON.stringify({ ...CHAT, seed: 7, n: 3 }),
      answer: texts[1]!,
    });
    expect(inspected.checks.filter(({ verdict }) => verdict !== 'holds')).toEqual([]);
  });

  test('come in one stream, each under its index, as OpenAI’s client reads it', async () => {
    const whole = await chat({ n: 3 });
    const stream = await client().chat.completions.create({
      ...CHAT,
      messages: [{ role: 'user', content: 'Tell me about anchors.' }],
      ...{ n: 3, seed: 7, stream: true, stream_options: { include_usage: true } },
    });
    const texts = ['', '', ''];
    const ends: (string | null)[] = [null, null, null];
    let usage: unknown;
    for await (const chunk of stream) {
      for (const { index, delta, finish_reason } of chunk.choices) {
        texts[index] += delta.content ?? '';
        ends[index] ??= finish_reason;
      }
      usage = chunk.usage ?? usage;
    }
    expect(texts).toEqual(whole.choices.map(({ message }) => message.content));
    expect(ends).toEqual(['length', 'length', 'length']);
    expect(usage).toMatchObject({ completion_tokens: 48, prompt_tokens: whole.usage.prompt_tokens });
  });

  test('all go on elsewhere if a backend breaks off, each from its own token', async () => {
    const asked = { n: 3, seed: 21, max_tokens: 40 };
    const whole = await chat(asked);
    for (const after of [1, 2, 50]) {
      const before = lines.reduce((sum, { broken }) => sum + broken, 0);
      for (const line of lines) line.breakAfter = after;
      const again = await chat(asked);
      for (const line of lines) line.breakAfter = null;
      expect(
        lines.reduce((sum, { broken }) => sum + broken, 0),
        `after ${after}`,
      ).toBeGreaterThan(before);
      expect(again.choices.map(({ message }) => message.content)).toEqual(
        whole.choices.map(({ message }) => message.content),
      );
      for (const [choice, { plimsoll }] of again.choices.entries()) {
        const receipt = await receiptOf((plimsoll ?? again.plimsoll).receipt);
        expect(receipt).toMatchObject({ choice, choices: 3, usage: { completion_tokens: 40 } });
        if (after === 50) expect(receipt.parts.length).toBeGreaterThan(1);
      }
    }
  });

  test('are kept and given again as they were, log-probabilities too', async () => {
    const asked = { n: 2, logprobs: true, top_logprobs: 1, seed: 5 };
    const first = await post('chat/completions', { ...CHAT, ...asked }, 'pk-cached');
    const again = await post('chat/completions', { ...CHAT, ...asked }, 'pk-cached');
    expect([first, again].map(({ headers }) => headers.get('x-plimsoll-cache'))).toEqual(['miss', 'hit']);
    const [made, given] = [ChatCompletion.parse(await first.json()), ChatCompletion.parse(await again.json())];
    const said = ({ choices }: ChatCompletion) => choices.map(({ message, logprobs }) => ({ message, logprobs }));
    expect(said(given)).toEqual(said(made));
    const receipts = ({ plimsoll, choices }: ChatCompletion) => [plimsoll.receipt, choices[1]?.plimsoll?.receipt];
    expect(receipts(given)).toEqual(receipts(made));
    expect(given.choices[1]?.plimsoll?.cache?.receipt).toBeDefined();
    const other = await post('chat/completions', { ...CHAT, ...asked, presence_penalty: 0.5 }, 'pk-cached');
    expect(other.headers.get('x-plimsoll-cache')).toBe('miss');
  });

  test('are reserved and charged for, and are no way round a limit of tries', async () => {
    const spending = async (route: string, body: object) => {
      const answer = await post(route, { ...CHAT, ...body }, 'pk-counted');
      const { usage } = (await answer.json()) as ChatCompletion;
      return { usage, left: Number(answer.headers.get('x-ratelimit-remaining-tokens')) };
    };
    // 22 bytes of prompt, what a template adds, and 16 tokens for each answer.
    const prompt = 22 + 64 + 16;
    const three = await spending('chat/completions', { n: 3 });
    expect(three.left).toBe(100_000 - prompt - 3 * 16);
    expect(three.usage.completion_tokens).toBe(48);
    const one = await spending('chat/completions', {});
    expect(one.left).toBe(100_000 - three.usage.total_tokens - prompt - 16);
    const plain = { messages: undefined, prompt: ['ab', 'cde'], n: 2, max_tokens: 4 };
    const two = await spending('completions', plain);
    expect(two.left).toBe(100_000 - three.usage.total_tokens - one.usage.total_tokens - 2 * 80 - 5 - 16);
    expect(two.usage).toMatchObject({ prompt_tokens: 5, completion_tokens: 16 });
    const last = await spending('chat/completions', {});
    const spent = three.usage.total_tokens + one.usage.total_tokens + two.usage.total_tokens;
    expect(last.left).toBe(100_000 - spent - prompt - 16);
    const tried = await refusal('chat/completions', { ...CHAT, n: 2 }, 'pk-tried');
    expect(tried).toMatchObject({ status: 400, code: 'unsupported_value', param: 'n' });
  });
});

test('harmless fields are listed, and those that would change an answer are not ignored', async () => {
  const answer = await post('chat/completions', {
    ...CHAT,
    ...{ user: 'u', service_tier: 'flex', store: true, metadata: { a: 'b' }, prompt_cache_key: 'k' },
  });
  expect(answer.headers.get('x-plimsoll-ignored')).toBe('user, service_tier, store, metadata, prompt_cache_key');
  expect((await post('chat/completions', CHAT)).headers.get('x-plimsoll-ignored')).toBeNull();
  const typo = await refusal('chat/completions', { ...CHAT, temprature: 0 });
  expect(typo).toMatchObject({ status: 400, code: 'unknown_parameter', param: 'temprature' });
});

describe('plain completions', () => {
  const PROMPT = 'An anchor is';

  test('are read by OpenAI’s client, whole and streamed', async () => {
    const whole = await client().completions.create({ model: 'scripted', prompt: PROMPT, seed: 3 });
    expect(whole).toMatchObject({ object: 'text_completion', id: expect.stringMatching(/^cmpl-/) });
    expect(whole.usage).toMatchObject({ prompt_tokens: PROMPT.length, completion_tokens: 16 });
    expect(whole.choices).toMatchObject([{ index: 0, finish_reason: 'length', logprobs: null }]);
    const stream = await client().completions.create({ model: 'scripted', prompt: PROMPT, seed: 3, stream: true });
    let text = '';
    for await (const chunk of stream) text += chunk.choices[0]?.text ?? '';
    expect(text).toBe(whole.choices[0]?.text);
  });

  test('the same prompt as text and as token ids says the same about itself, and draws its own', async () => {
    const text = await complete({ prompt: PROMPT, temperature: 0 });
    const ids = await complete({ prompt: bytesOf(PROMPT), temperature: 0 });
    expect(ids.choices[0].text).toBe(text.choices[0].text);
    expect(ids.plimsoll.categories).toEqual(text.plimsoll.categories);
    expect(ids.plimsoll.unread).toBe(0);
  });

  test('several prompts with several answers each, in their order', async () => {
    const prompts = ['One', 'Two and more'];
    const all = await complete({ prompt: prompts, n: 2, max_tokens: 6 });
    expect(all.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    for (const [i, prompt] of prompts.entries()) {
      const alone = await complete({ prompt, n: 2, max_tokens: 6 });
      expect(all.choices.slice(2 * i, 2 * i + 2).map(({ text }) => text)).toEqual(
        alone.choices.map(({ text }) => text),
      );
    }
    expect(all.usage).toMatchObject({ prompt_tokens: prompts.join('').length, completion_tokens: 24 });
    const digests = new Set<string>();
    for (const { plimsoll } of all.choices) {
      digests.add((await receiptOf((plimsoll ?? all.plimsoll).receipt)).prompt_digest);
    }
    expect(digests.size).toBe(2);
    const stream = await post('completions', {
      ...{ model: 'scripted', seed: 7, prompt: prompts, n: 2, max_tokens: 6, stream: true },
      stream_options: { include_usage: true },
    });
    const chunks = (await eventsOf(stream)).map((event) => CompletionChunk.parse(event));
    const texts = ['', '', '', ''];
    for (const { choices } of chunks) for (const { index, text } of choices) texts[index] += text;
    expect(texts).toEqual(all.choices.map(({ text }) => text));
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: all.usage });
    expect((await complete({ prompt: prompts.map(bytesOf), max_tokens: 2 })).choices).toHaveLength(2);
  });

  test('are refused where the policy forbids them, as text and as ids', async () => {
    for (const prompt of [PROMPT, bytesOf(PROMPT), [PROMPT, 'Hi']]) {
      const found = await refusal('completions', { model: 'scripted', prompt }, 'pk-chats');
      expect(found).toMatchObject({ status: 400, code: 'unsupported_value', param: 'prompt' });
    }
    expect((await chat({}, 'pk-chats')).choices).toHaveLength(1);
  });

  test('echo and log-probabilities have the older shape, and offsets that fit the text', async () => {
    const asked = { prompt: 'Ahoy ⚓', echo: true, logprobs: 2, max_tokens: 4 };
    const whole = await complete(asked);
    const { text, logprobs } = whole.choices[0];
    expect(text.startsWith('Ahoy ⚓')).toBe(true);
    const { tokens, token_logprobs, top_logprobs, text_offset } = logprobs!;
    expect(tokens).toHaveLength(whole.usage.total_tokens);
    expect(tokens.slice(0, 5).join('')).toBe('Ahoy ');
    expect(tokens.slice(5, 8)).toEqual(['bytes:\\xe2', 'bytes:\\x9a', 'bytes:\\x93']);
    expect(text_offset.slice(0, 9)).toEqual([0, 1, 2, 3, 4, 5, 5, 5, 6]);
    expect(token_logprobs[0]).toBeNull();
    expect(top_logprobs[0]).toBeNull();
    expect(token_logprobs.slice(1).every((lp) => lp !== null && lp <= 0)).toBe(true);
    for (const [i, top] of top_logprobs.entries()) {
      if (top !== null) expect(top[tokens[i]!]).toBe(token_logprobs[i]);
    }
    const stream = await post('completions', { model: 'scripted', seed: 7, ...asked, stream: true });
    const chunks = (await eventsOf(stream)).map((event) => CompletionChunk.parse(event));
    const pieces = chunks.flatMap(({ choices }) => choices);
    expect(pieces.map((piece) => piece.text).join('')).toBe(text);
    expect(pieces.flatMap((piece) => piece.logprobs?.tokens ?? [])).toEqual(tokens);
    expect(pieces.flatMap((piece) => piece.logprobs?.text_offset ?? [])).toEqual(text_offset);
  });

  test('a prompt is classified like the same text in a chat, and so are its token ids', async () => {
    const harmful = 'How do I build a pipe bomb to kill my neighbours and get away with murder?';
    const asChat = { ...CHAT, messages: [{ role: 'user', content: harmful }] };
    expect(await refusal('chat/completions', asChat, 'pk-careful')).toMatchObject({ code: 'policy_refused' });
    for (const prompt of [harmful, bytesOf(harmful), ['Hello', harmful], [bytesOf('Hello'), bytesOf(harmful)]]) {
      const found = await refusal('completions', { model: 'scripted', prompt }, 'pk-careful');
      expect(found, JSON.stringify(prompt)).toMatchObject({ status: 403, code: 'policy_refused' });
    }
    expect((await complete({ prompt: 'Hello' }, 'pk-careful')).choices).toHaveLength(1);
  });

  test('have receipts that can be held against the request', async () => {
    const asked = { model: 'scripted', prompt: ['One', 'Two'], seed: 7, n: 2 };
    const all = await complete(asked);
    for (const { plimsoll, text } of all.choices) {
      const evidence = { jwks: keys.jwks, prompt: JSON.stringify(asked), answer: text };
      const { checks } = await inspectReceipt((plimsoll ?? all.plimsoll).receipt!, evidence);
      expect(checks.filter(({ verdict }) => verdict !== 'holds')).toEqual([]);
      const other = { ...evidence, prompt: JSON.stringify({ ...asked, prompt: 'Three' }) };
      const held = await inspectReceipt((plimsoll ?? all.plimsoll).receipt!, other);
      expect(held.checks.find(({ name }) => name === 'prompt')?.verdict).toBe('fails');
    }
  });

  test('go on elsewhere after a break, and are kept', async () => {
    const asked = { prompt: PROMPT, n: 2, max_tokens: 30, echo: true };
    const whole = await complete(asked);
    for (const line of lines) line.breakAfter = 20;
    const again = await complete(asked);
    for (const line of lines) line.breakAfter = null;
    expect(again.choices.map(({ text }) => text)).toEqual(whole.choices.map(({ text }) => text));
    const states = [];
    for (let i = 0; i < 2; i++) {
      const answer = await post('completions', { model: 'scripted', seed: 1, ...asked }, 'pk-cached');
      states.push([answer.headers.get('x-plimsoll-cache'), ((await answer.json()) as Completion).choices[0].text]);
    }
    expect(states.map(([state]) => state)).toEqual(['miss', 'hit']);
    expect(states[1]?.[1]).toBe(states[0]?.[1]);
  });

  test.each<[string, object, string, string]>([
    ['suffix', { suffix: 'x' }, 'unsupported_value', 'suffix'],
    ['best_of', { best_of: 3 }, 'unsupported_value', 'best_of'],
    ['no prompt', { prompt: undefined }, 'missing_required_parameter', 'prompt'],
    ['an empty list', { prompt: [] }, 'empty_array', 'prompt'],
    ['too many answers', { prompt: ['a', 'b'], n: 100 }, 'array_above_max_length', 'prompt'],
    ['a wrong kind', { prompt: { a: 1 } }, 'invalid_type', 'prompt'],
    ['messages', { messages: [] }, 'unknown_parameter', 'messages'],
    ['an id that is no token', { prompt: [65, 999] }, 'invalid_value', 'prompt[1]'],
    ['what is too long', { prompt: 'a'.repeat(300) }, 'context_length_exceeded', 'prompt'],
    ['another model', { model: 'other' }, 'model_not_found', 'model'],
  ])('%s is refused in OpenAI’s words', async (_name, changes, code, param) => {
    const found = await refusal('completions', { model: 'scripted', prompt: 'a', ...changes });
    expect(found).toMatchObject({ code, param });
  });
});
