/** Reads one streamed answer as a client does, with its tokens and the pauses between them. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { JSONWebKeySet } from 'jose';
import * as z from 'zod';
import { type Receipt, verifyReceipt } from '#shared/protocol/receipt.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';

export type ReadStream = {
  ids: number[];
  /** The longest time between two tokens, or between the request and the first. */
  pauseMs: number;
  /** null if the stream did not end like a whole answer. */
  receipt: Receipt | null;
  /** How often it was told to come again before it began. */
  refusals: number;
  /** What is wrong with it as a stream; null if nothing. */
  fault: string | null;
};

const MOST_REFUSALS = 10;

const Chunk = z.object({
  choices: z.array(z.object({ delta: z.object({ content: z.string().nullish() }) })).default([]),
  plimsoll: z
    .object({ tokens: z.array(z.object({ id: z.int() })).optional(), receipt: z.string().optional() })
    .optional(),
  error: z.object({ code: z.string() }).optional(),
});

export async function readStream(
  url: string,
  { key, body, jwks }: { key: string; body: object; jwks: JSONWebKeySet },
): Promise<ReadStream> {
  const read: ReadStream = { ids: [], pauseMs: 0, receipt: null, refusals: 0, fault: null };
  let lastAt = performance.now();
  let text = '';
  let token: string | undefined;
  let isDone = false;
  try {
    const ask = () =>
      fetch(`${url}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ ...body, stream: true, plimsoll: { trace: 'tokens' } }),
      });
    let response = await ask();
    // As OpenAI's own client does.
    for (; response.status === 503 && read.refusals < MOST_REFUSALS; read.refusals++) {
      await response.body?.cancel();
      await sleep(1000 * Number(response.headers.get('retry-after') ?? 1));
      response = await ask();
    }
    lastAt = performance.now();
    if (!response.ok) return { ...read, fault: `${response.status} ${await response.text()}` };
    for await (const data of eventsOf(response)) {
      if (data === '[DONE]') {
        isDone = true;
        continue;
      }
      const { choices, plimsoll, error } = Chunk.parse(JSON.parse(data));
      if (error) return { ...read, fault: error.code };
      text += choices[0]?.delta.content ?? '';
      token = plimsoll?.receipt ?? token;
      const ids = (plimsoll?.tokens ?? []).map(({ id }) => id);
      if (ids.length === 0) continue;
      const now = performance.now();
      read.pauseMs = Math.max(read.pauseMs, now - lastAt);
      lastAt = now;
      read.ids.push(...ids);
    }
    if (!isDone || token === undefined) return { ...read, fault: 'ended without [DONE] or receipt' };
    const receipt = await verifyReceipt(token, jwks);
    return { ...read, receipt, fault: await faultOf(receipt, { text, tokens: read.ids.length }) };
  } catch (thrown) {
    return { ...read, fault: String(thrown) };
  }
}

/** Whether the receipt is for this text, and its parts follow each other without a gap. */
async function faultOf(receipt: Receipt, { text, tokens }: { text: string; tokens: number }): Promise<string | null> {
  const { parts, usage, answer_digest, spent } = receipt;
  if (answer_digest !== (await sha256Hex(text))) return 'the receipt is for another text';
  if (usage.completion_tokens !== tokens) return 'the usage counts other tokens';
  if (parts.some(({ from }, i) => from !== (parts[i - 1]?.to ?? 0))) return 'the parts have a gap';
  const last = parts.at(-1);
  if (last && (last.to !== tokens || last.spent !== spent)) return 'the parts end elsewhere';
  return null;
}

/** The data of server-sent events, without comments. */
async function* eventsOf(response: Response): AsyncGenerator<string, void, void> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of response.body!) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n');
    rest = lines.pop()!;
    for (const line of lines) if (line.startsWith('data: ')) yield line.slice('data: '.length);
  }
}
