/** A whole backend, from its folder on, whose safety expert is the base under a system prompt. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Message } from '#shared/protocol/generate.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { type Expert, NO_ADAPTER } from '../model/adapter.ts';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { loadBundleHead } from '../model/load-bundle.ts';
import { writeBundle } from '../model/write-bundle.ts';
import { type Backend, startBackend } from './start-backend.ts';
import { allFrames, call, DRAW_SECRET, generateRequest, receiptKeys, SECRET } from './testing/backend-client.ts';
import { endOf, errorOf, textOf } from './testing/scripted-backends.ts';

const SAMPLING = { temperature: 0.3, top_p: 0.9, top_k: 20, min_p: 0, repetition_penalty: 1 };
const PROMPT = 'Say no to harm, and say it kindly.';

let root: string;
let keys: Awaited<ReturnType<typeof receiptKeys>>;
const started: Backend[] = [];
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'prompted-backend-'));
  keys = await receiptKeys();
});
afterAll(async () => {
  await Promise.all(started.map((backend) => backend.close()));
  await rm(root, { recursive: true });
});

async function serve(name: string, prompt?: string) {
  const parts = tinyBundle();
  const base = (role: Expert['role'], own = {}): Expert => ({ name: role, role, ...NO_ADAPTER, ...own });
  const bundle = join(root, name);
  const experts = [base('safety', prompt === undefined ? {} : { prompt }), base('helpfulness')];
  const manifest = { ...parts.manifest, sampling: SAMPLING };
  await writeBundle(bundle, { ...parts, experts, manifest }, { dtype: 'f32' });
  const logged: string[] = [];
  const backend = await startBackend(
    {
      bundle,
      port: 0,
      threads: 1,
      directiveSecret: SECRET,
      drawSecret: DRAW_SECRET,
      receiptPrivateJwk: keys.receiptPrivateJwk,
    },
    { log: (message) => logged.push(message) },
  );
  started.push(backend);
  // Every backend says first what memory it plans for.
  const own = logged.filter((line) => !/: a context of |: prefixes of prompts /.test(line));
  return { url: backend.url, bundle, logged: own };
}

test('serves it: the receipt and /healthz say what each expert is, and the client pays only for its own tokens', async () => {
  const { url, bundle, logged } = await serve('prompted', PROMPT);
  const experts = {
    safety: { kind: 'prompt', prompt: createHash('sha256').update(PROMPT).digest('hex') },
    helpfulness: { kind: 'base' },
  };
  expect(await (await fetch(`${url}/healthz`)).json()).toMatchObject({
    experts,
    modes: ['logits', 'edge'],
    sampling: SAMPLING,
  });
  expect(logged).toEqual([]);

  const messages: Message[] = [{ role: 'user', content: 'the tin in there' }];
  const body = generateRequest({ model: 'tiny', messages, ...SAMPLING });
  const line = { floor: 0.5, budget: 4 };
  const frames = await allFrames(await call(url, body, { line }));
  const promptTokens = (await loadBundleHead(bundle)).renderChat(messages).length;
  expect(frames[0]).toMatchObject({ type: 'start', prompt_tokens: promptTokens });
  const receipt = await verifyReceipt(endOf(frames).receipt, keys.jwks);
  expect(receipt.sampling).toEqual(SAMPLING);
  expect(receipt.experts).toEqual(experts);
  expect(receipt.usage.prompt_tokens).toBe(promptTokens);
  expect(receipt.spent).toBeLessThanOrEqual(4);
  expect(textOf(await allFrames(await call(url, body, { line })))).toBe(textOf(frames));

  const tooLong = generateRequest({ model: 'tiny', messages: [{ role: 'user', content: 'x'.repeat(70) }] });
  const refusal = await errorOf(await call(url, tooLong));
  expect(refusal).toMatchObject({
    status: 400,
    code: 'context_length_exceeded',
    message: expect.stringMatching(/own system prompt takes \d+ of them/),
  });
  expect(JSON.stringify(refusal)).not.toContain('harm');
});

test('answers at floor 1 what a bare base answers to the same system prompt', async () => {
  const [prompted, bare] = [await serve('prompted-again', PROMPT), await serve('bare')];
  expect(bare.logged).toEqual([
    'tiny: both experts are the bare base model, so no floor and no budget makes a difference',
  ]);
  const question: Message = { role: 'user', content: 'the tin in there' };
  const greedy = (messages: Message[]) => generateRequest({ model: 'tiny', messages, temperature: 0 });
  const line = { floor: 1 };
  const careful = textOf(await allFrames(await call(prompted.url, greedy([question]), { line })));
  const wanted = greedy([{ role: 'system', content: PROMPT }, question]);
  expect(careful).toBe(textOf(await allFrames(await call(bare.url, wanted, { line }))));
  expect(careful).not.toBe(textOf(await allFrames(await call(bare.url, greedy([question]), { line }))));
});
