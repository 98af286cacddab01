import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { OPEN_LINE } from '#shared/line/line.ts';
import { signReceipt } from '#shared/protocol/receipt.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { createReceiptKey } from '#workers/testing/receipt-key.ts';
import { askForStream } from './chaos-stream.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function serve(answer: (response: ServerResponse) => void): Promise<string> {
  const server = createServer((_, response) => answer(response));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function endOf(answer: (response: ServerResponse) => void): Promise<string> {
  const url = await serve(answer);
  return (await askForStream(url, { key: 'k', body: {}, jwks: key.jwks })).end;
}

const key = await createReceiptKey('test');
const receiptFor = async (text: string, { privateKey } = key) =>
  signReceipt(
    {
      request: 'r',
      directive: 'd',
      tenant: 't',
      key: 'k',
      policy: 'p',
      classifier: 'c',
      model: 'm',
      bundle: 'b',
      experts: { safety: { kind: 'adapter' }, helpfulness: { kind: 'adapter' } },
      backend: 'b1',
      parts: [],
      draws: 's',
      line: OPEN_LINE,
      second_look: null,
      top_k: null,
      weights: { min: 0, mean: 0, max: 0 },
      spent: 0,
      ran: { safety: 1, helpfulness: 1 },
      usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
      finish_reason: 'stop',
      choice: 0,
      choices: 1,
      seed: 1,
      sampling: { temperature: 0.7, top_p: 0.9, top_k: 0, min_p: 0, repetition_penalty: 1 },
      prompt_digest: '0'.repeat(64),
      answer_digest: await sha256Hex(text),
    },
    { privateKey, kid: 'test' },
  );
const event = (data: object) => `data: ${JSON.stringify(data)}\n\n`;
const says = (content: string) => event({ choices: [{ delta: { content } }] });
const ends = (receipt?: string) => event({ choices: [{ delta: {}, finish_reason: 'stop' }], plimsoll: { receipt } });
const DONE = 'data: [DONE]\n\n';

test('counts a stream as complete only with [DONE] and a receipt for exactly its text', async () => {
  const receipt = await receiptFor('half and half');
  const said = `${says('half')}: a comment\n\n${says(' and half')}`;
  const forged = await receiptFor('half and half', await createReceiptKey('test'));
  const sent = (text: string) => endOf((response) => response.end(text));
  expect(await sent(said + ends(receipt) + DONE)).toBe('complete');
  expect(await sent(says('half') + ends(receipt) + DONE)).toBe('false end');
  expect(await sent(said + ends(forged) + DONE)).toBe('false end');
  expect(await sent(said + ends() + DONE)).toBe('false end');
  expect(await sent(said + DONE)).toBe('false end');
  expect(await sent(said + ends(receipt))).toBe('lost');
  expect(await sent(said)).toBe('lost');
  expect(await sent(said + event({ error: { code: 'backend_unavailable' } }))).toBe('error event');
});

test('tells a cut connection, a missing one and an HTTP error apart', async () => {
  expect(await endOf((response) => response.destroy())).toBe('lost');
  expect(
    await endOf((response) => {
      response.write(says('half'));
      setTimeout(() => response.destroy(), 20);
    }),
  ).toBe('lost');
  expect(await endOf((response) => response.writeHead(503).end('{"error":{"code":"overloaded"}}'))).toBe('http error');
  // This port was in use until a moment ago.
  const url = await serve(() => undefined);
  const server = servers.pop()!;
  await new Promise((resolve) => server.close(resolve));
  expect((await askForStream(url, { key: 'k', body: {}, jwks: key.jwks })).end).toBe('no connection');
});
