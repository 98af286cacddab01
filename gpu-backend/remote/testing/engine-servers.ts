/**
 * Servers that speak the HTTP of vLLM, SGLang and llama.cpp's server as far as our dialects use it,
 * from those engines' documentation and source: fields, defaults, limits, errors and quirks. They
 * are no fakes of an answer: what they say comes from experts that run here, so the numbers are
 * true.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import type { Experts } from '../../engine/experts.ts';
import { byId, feed } from '../../engine/testing/feed-experts.ts';
import type { ExpertRole } from '../../model/manifest.ts';
import { LLAMA_CPP_PROTOCOL } from './llama-cpp-protocol.ts';
import { SGLANG_PROTOCOL } from './sglang-protocol.ts';
import { VLLM_PROTOCOL } from './vllm-protocol.ts';

export type Reply = { status?: number; body: unknown };
/** The ids that the engine's tokenizer makes of a text. */
export type Encode = (text: string) => number[];
/** A token and its log-probability. */
export type Told = [id: number, logprob: number];
/** The log-probabilities of the token after these ids, likeliest first: [V]. */
export type Next = (role: ExpertRole, ids: readonly number[]) => Promise<Told[]>;
/** What a server does with a request to its route for next tokens, and with a text to tokenize. */
export type Protocol = {
  path: string;
  answer: (body: unknown, next: Next) => Promise<Reply>;
  /** null if there is no route for it. */
  tokenize: ((body: unknown, encode: Encode) => unknown) | null;
  /** What it says of itself, by the route of a GET. */
  told?: Readonly<Record<string, unknown>>;
};

export const PROTOCOLS = {
  vllm: () => VLLM_PROTOCOL,
  sglang: () => SGLANG_PROTOCOL,
  llamacpp: LLAMA_CPP_PROTOCOL,
} as const;

export type EngineServer = {
  url: string;
  close: () => Promise<void>;
  /** Every question for next tokens, in the order in which they came. */
  asked: readonly unknown[];
  /** How many of them were dropped because who asked had hung up. */
  readonly dropped: number;
};

/**
 * Serves experts under a protocol. `close` ends it; they stay the caller's.
 *
 * @param before waits, or throws, before a question is answered
 */
export async function serveEngine(
  experts: Experts,
  { path, answer, tokenize, told = {} }: Protocol,
  {
    encode = (text) => [...Buffer.from(text)],
    before = async () => {},
  }: { encode?: Encode; before?: (body: unknown) => Promise<void> } = {},
): Promise<EngineServer> {
  const next: Next = async (role, ids) => {
    const sequence = experts.open(role);
    try {
      const { row } = await feed(experts, sequence, ids);
      return [...byId(row)].sort(([a, lpA], [b, lpB]) => lpB - lpA || a - b);
    } finally {
      experts.close(sequence);
    }
  };
  const asked: unknown[] = [];
  let dropped = 0;
  const routes: Readonly<Record<string, (body: unknown, gone: AbortSignal) => Promise<Reply>>> = {
    [path]: async (body, gone) => {
      asked.push(body);
      await Promise.race([
        before(body),
        new Promise<void>((resolve) => gone.addEventListener('abort', () => resolve())),
      ]);
      // As the engines do, between two of their steps.
      const stillThere: Next = async (role, ids) => {
        gone.throwIfAborted();
        return next(role, ids);
      };
      return answer(body, stillThere).catch((error: unknown) => {
        if (gone.aborted) dropped++;
        throw error;
      });
    },
    ...(tokenize && { '/tokenize': async (body) => ({ body: tokenize(body, encode) }) }),
  };
  const server = createServer(async (request, response) => {
    if (request.method === 'GET' && request.url === '/health') return void response.writeHead(200).end();
    const gone = new AbortController();
    response.once('close', () => response.writableFinished || gone.abort(new Error('nobody waits')));
    const route = routes[request.url ?? ''];
    const { status = 200, body }: Reply =
      request.method === 'POST' && route !== undefined
        ? await json(request)
            .then((asked) => route(asked, gone.signal))
            .catch((error: unknown) => ({ status: 500, body: { error: { message: String(error) } } }))
        : request.method === 'GET' && told[request.url ?? ''] !== undefined
          ? { body: told[request.url ?? ''] }
          : { status: 404, body: { detail: 'Not Found' } };
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  const url = await listen(server);
  return {
    url,
    asked,
    get dropped() {
      return dropped;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // A server that listens on a port has an address with one.
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
