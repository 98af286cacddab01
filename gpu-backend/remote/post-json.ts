/** One question over HTTP. An answer that is too long, late, or no JSON is an error. */
import { parseUnquoted } from '#shared/protocol/parse-unquoted.ts';
import type { HttpQuestion } from './remote-engine.ts';

/** A server answered with another status than 200 and its like. */
export class StatusError extends Error {
  override readonly name = 'StatusError';
  readonly status: number;

  constructor(status: number, text: string) {
    // Some servers repeat the question, which is a prompt, and the message goes to a log.
    const [own] = text.split(/["']input["']/);
    super(`status ${status}: ${own!.slice(0, 200)}`);
    this.status = status;
  }
}

/** An answer of this many bytes or more is no answer to our question. */
const MOST_ANSWER_BYTES = 2 ** 24;

type Limits = {
  apiKey: string | null;
  /** For the whole answer. */
  timeoutMs: number;
  signal: AbortSignal;
};

/**
 * When the signal aborts, the connection is closed at once. vLLM, SGLang and llama.cpp's server
 * take that as the end of the request and drop it.
 */
export function postJson(url: string, { path, body }: HttpQuestion, limits: Limits): Promise<unknown> {
  const headers = { 'content-type': 'application/json' };
  return ask(url, { path, request: { method: 'POST', headers, body: JSON.stringify(body) } }, limits);
}

/** What a server says of itself, under the same limits. */
export function getJson(url: string, path: string, limits: Limits): Promise<unknown> {
  return ask(url, { path, request: {} }, limits);
}

async function ask(
  url: string,
  { path, request }: { path: string; request: { method?: string; headers?: Record<string, string>; body?: string } },
  { apiKey, timeoutMs, signal }: Limits,
): Promise<unknown> {
  const answer = await fetch(`${url.replace(/\/+$/, '')}${path}`, {
    ...request,
    headers: { ...request.headers, ...(apiKey !== null && { authorization: `Bearer ${apiKey}` }) },
    redirect: 'error',
    signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
  });
  const text = await readText(answer);
  if (!answer.ok) throw new StatusError(answer.status, text);
  return parseUnquoted(text);
}

async function readText({ body }: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of body ?? []) {
    length += part.byteLength;
    if (length > MOST_ANSWER_BYTES) throw new Error(`an answer of more than ${MOST_ANSWER_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}
