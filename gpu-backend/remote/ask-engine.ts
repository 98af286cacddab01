/**
 * Asks one expert's servers. Questions that begin alike go to the same server, because it has their
 * beginning in its prefix cache. A server that fails is passed over for the next one, once each: no
 * token has been drawn yet, so asking again costs time and nothing else.
 */
import { createHash } from 'node:crypto';
import type { OwnRow } from '#shared/gate/pair-rows.ts';
import { asError } from '../engine/turns.ts';
import { ownRow } from './own-row.ts';
import type { Dialect, HttpQuestion } from './remote-engine.ts';

export type EngineOptions = {
  dialect: Dialect;
  /** Base URLs of servers that hold the same model. At least one. */
  urls: readonly string[];
  /** The name under which the servers have this expert: an adapter or a model. */
  model: string | null;
  /** k */
  topK: number;
  /** V, the bundle's. */
  vocabSize: number;
  /** How long one server may take for one answer. */
  timeoutMs: number;
  /** Sent as a bearer token, if the servers want one. */
  apiKey: string | null;
};

/** No server gave a row. The message names each one and why; it is for the log, not for clients. */
export class EngineError extends Error {
  override readonly name = 'EngineError';
}

/** An answer of this many bytes or more is no answer to our question. */
const MOST_ANSWER_BYTES = 2 ** 24;

export class RemoteEngine {
  readonly #options: EngineOptions;

  constructor(options: EngineOptions) {
    if (options.urls.length === 0) throw new Error('an engine needs the URL of at least one server');
    this.#options = options;
  }

  /**
   * What the expert gives the next token.
   *
   * @param affinity questions with the same text go to the same server while it answers
   * @throws EngineError if no server gives a row that can be one
   */
  async next(ids: readonly number[], { affinity, signal }: { affinity: string; signal: AbortSignal }): Promise<OwnRow> {
    const failures: string[] = [];
    for (const url of this.#inOrder(affinity)) {
      try {
        return await this.nextAt(url, ids, signal);
      } catch (thrown) {
        signal.throwIfAborted();
        failures.push(`${url}: ${asError(thrown).message}`);
      }
    }
    throw new EngineError(`no ${this.#options.dialect.name} server gave a row. ${failures.join('; ')}`);
  }

  /** What one server says of the next token. Throws an Error that says why there is no row. */
  async nextAt(url: string, ids: readonly number[], signal: AbortSignal): Promise<OwnRow> {
    const { dialect, model, topK, vocabSize } = this.#options;
    const answer = await this.#ask(url, dialect.question({ ids, topK }, { model }), signal);
    return ownRow(dialect.read(answer), { topK, vocabSize });
  }

  /** The ids that one server's tokenizer makes of a text, without special tokens. */
  async tokenizeAt(url: string, text: string, signal: AbortSignal): Promise<number[]> {
    const { dialect, model } = this.#options;
    return dialect.tokenize.read(await this.#ask(url, dialect.tokenize.question(text, { model }), signal));
  }

  get urls(): readonly string[] {
    return this.#options.urls;
  }

  /** The servers by rendezvous hash: when one is gone, only its questions move. */
  #inOrder(affinity: string): string[] {
    const weight = (url: string) => createHash('sha256').update(`${url} ${affinity}`).digest('hex');
    return this.#options.urls
      .map((url) => ({ url, weight: weight(url) }))
      .sort((a, b) => (a.weight < b.weight ? 1 : -1))
      .map(({ url }) => url);
  }

  async #ask(url: string, { path, body }: HttpQuestion, signal: AbortSignal): Promise<unknown> {
    const { timeoutMs, apiKey } = this.#options;
    const answer = await fetch(`${url.replace(/\/+$/, '')}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(apiKey !== null && { authorization: `Bearer ${apiKey}` }) },
      body: JSON.stringify(body),
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    const text = await readText(answer);
    if (!answer.ok) throw new Error(`status ${answer.status}: ${text.slice(0, 200)}`);
    return JSON.parse(text);
  }
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
