/**
 * Reads one streamed answer through the edge, as a client without a library would, and reports how
 * the answer ended.
 */
import { createHash } from 'node:crypto';
import type { JSONWebKeySet } from 'jose';
import * as z from 'zod';
import { verifyReceipt } from '#shared/protocol/receipt.ts';

export type StreamEnd =
  /** [DONE], with a signed receipt for exactly this text. */
  | 'complete'
  /** The edge reported an error: before the first chunk (http error) or after it (error event). */
  | 'http error'
  | 'error event'
  /** The connection ended, or nothing came for `SILENCE_MS`, without an error message. */
  | 'lost'
  /** There was no edge to connect to. */
  | 'no connection'
  /** It ended like a whole answer, but is not one. */
  | 'false end';

export type StreamOutcome = { end: StreamEnd; beganAt: number; endedAt: number; detail: string };

/** Longer than any pause we cause, and longer than the edge lets a backend stay silent. */
const SILENCE_MS = 75_000;

const Chunk = z.object({
  choices: z
    .array(z.object({ delta: z.object({ content: z.string().nullish() }), finish_reason: z.string().nullish() }))
    .default([]),
  plimsoll: z.object({ receipt: z.string().optional() }).optional(),
  error: z.object({ code: z.string() }).optional(),
});

export async function askForStream(
  url: string,
  { key, body, jwks, deadline }: { key: string; body: object; jwks: JSONWebKeySet; deadline?: AbortSignal },
): Promise<StreamOutcome> {
  const beganAt = Date.now();
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  const ended = (end: StreamEnd, detail = ''): StreamOutcome => ({ end, beganAt, endedAt: Date.now(), detail });
  let isOpen = false;
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ ...body, stream: true }),
      signal: deadline === undefined ? silence.signal : AbortSignal.any([silence.signal, deadline]),
    });
    isOpen = true;
    if (!response.ok) {
      const { error } = Chunk.parse(await response.json());
      return ended('http error', `${response.status} ${error?.code}`);
    }
    let text = '';
    let receipt: string | undefined;
    let finish: string | undefined;
    for await (const data of eventsOf(response)) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      if (data === '[DONE]') return ended(...(await judge(text, receipt, jwks)));
      const chunk = Chunk.parse(JSON.parse(data));
      if (chunk.error) return ended('error event', chunk.error.code);
      text += chunk.choices[0]?.delta.content ?? '';
      finish = chunk.choices[0]?.finish_reason ?? finish;
      receipt = chunk.plimsoll?.receipt ?? receipt;
    }
    return ended('lost', `the stream ended${finish === undefined ? '' : ` after "${finish}"`} without [DONE]`);
  } catch (thrown) {
    if (deadline?.aborted) return ended('lost', 'not over at the deadline');
    if (silence.signal.aborted) return ended('lost', `nothing for ${SILENCE_MS / 1000} s`);
    const { message, cause } = thrown as Error;
    const detail = cause instanceof Error ? `${message}: ${cause.message}` : message;
    return ended(isOpen || !detail.includes('ECONNREFUSED') ? 'lost' : 'no connection', detail);
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

async function judge(text: string, receipt: string | undefined, jwks: JSONWebKeySet): Promise<[StreamEnd, string]> {
  if (receipt === undefined) return ['false end', '[DONE] without a receipt'];
  try {
    const { answer_digest } = await verifyReceipt(receipt, jwks);
    const isThis = answer_digest === createHash('sha256').update(text).digest('hex');
    return isThis ? ['complete', ''] : ['false end', 'the receipt is for another text'];
  } catch (thrown) {
    return ['false end', `the receipt: ${(thrown as Error).message}`];
  }
}

/** Reads the data of server-sent events, without comments. */
async function* eventsOf(response: Response): AsyncGenerator<string, void, void> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of response.body!) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n');
    rest = lines.pop()!;
    for (const line of lines) if (line.startsWith('data: ')) yield line.slice('data: '.length);
  }
}
