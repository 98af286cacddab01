/**
 * What clients of a local stack talk to, in front of workerd. workerd ends an idle connection after
 * 5 s, has no setting for that, and strips a `Keep-Alive` header that would say so. A client whose
 * pool keeps connections for longer then sends a request into a connection that is just being
 * closed, and most do not dare to send a POST again. This server keeps them for longer than the
 * pools do and says so, and passes everything else on as it is.
 */
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { PlimsollError } from '#shared/api/errors.ts';
import { MAX_BODY_BYTES } from '../request/read-body.ts';

/** As backends do: longer than the pools of common clients, so that they close it, not we. */
const KEEP_ALIVE_MS = 75_000;
/** Our own connections are given up before workerd would do it. */
const UPSTREAM_IDLE_MS = 4_000;
/** Whatever answers are made from has stopped by then. Only their last bytes are on the way. */
const LAST_BYTES_MS = 500;
/** What is about a connection, and not about a request (RFC 9110, 7.6.1). */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

export type Front = {
  url: string;
  /** Takes no new connections. Answers under way have a moment to end. */
  close(): Promise<void>;
};

/**
 * @param port 0 takes any free one
 * @param upstream the URL of the server that answers
 */
export async function startFront({
  host,
  port,
  upstream,
}: {
  host: string;
  port: number;
  upstream: string;
}): Promise<Front> {
  const { hostname, port: upstreamPort } = new URL(upstream);
  const agent = new http.Agent({ keepAlive: true, timeout: UPSTREAM_IDLE_MS });

  const server = http.createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    const { method, url } = request;
    const about = { agent, hostname, port: upstreamPort, path: url, method, setHost: false };
    let wholeAnswer = false;
    let sentBytes = 0;
    request.on('data', (piece: Buffer) => {
      sentBytes += piece.length;
    });
    const passed = http.request({ ...about, headers: bodyHeaders(request) }, (answer) => {
      answer.on('end', () => {
        wholeAnswer = true;
      });
      response.writeHead(answer.statusCode!, endToEnd(answer.rawHeaders));
      // A stream's headers come long before its first token.
      response.flushHeaders();
      answer.pipe(response);
      // Whoever reads this must not take half an answer for a whole one.
      answer.on('error', () => response.destroy());
    });
    passed.on('error', (cause) => {
      if (wholeAnswer) return;
      if (response.headersSent) response.destroy();
      else
        refuse(response, Math.max(sentBytes, announcedBytes(request)) > MAX_BODY_BYTES ? tooLarge(cause) : away(cause));
    });
    // The edge counts on hearing that a client has left.
    response.on('close', () => passed.destroy());
    request.pipe(passed);
    // The rest of a body that nobody wants. Else the connection's next request stays behind it.
    passed.on('close', () => request.resume());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  // The cast: the server listens on TCP.
  const { port: own } = server.address() as AddressInfo;
  return {
    url: `http://${host}:${own}`,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await Promise.race([closed, sleep(LAST_BYTES_MS, undefined, { ref: false })]);
      server.closeAllConnections();
      agent.destroy();
      await closed;
    },
  };
}

/** All headers of the request but those about its connection, and how its body is framed. */
function bodyHeaders({ rawHeaders, headers }: IncomingMessage): string[] {
  const isChunked = headers['transfer-encoding'] !== undefined;
  return [...endToEnd(rawHeaders), ...(isChunked ? ['transfer-encoding', 'chunked'] : [])];
}

/** Names and values in turn, as they came: some headers come twice. */
function endToEnd(raw: readonly string[]): string[] {
  const named = new Set(HOP_BY_HOP);
  for (let i = 0; i < raw.length; i += 2) {
    if (raw[i]!.toLowerCase() !== 'connection') continue;
    for (const name of raw[i + 1]!.split(',')) named.add(name.trim().toLowerCase());
  }
  const kept: string[] = [];
  for (let i = 0; i < raw.length; i += 2) if (!named.has(raw[i]!.toLowerCase())) kept.push(raw[i]!, raw[i + 1]!);
  return kept;
}

const announcedBytes = ({ headers }: IncomingMessage): number => Number(headers['content-length'] ?? 0);

/** Nothing was sent yet, so a client may send it again. */
const away = (cause: Error) =>
  new PlimsollError('backend_unavailable', 'The edge cannot be reached. Please try again.', { cause });

/**
 * workerd closes the connection under a body that it will not read, and what it has answered is
 * lost if that breaks our writing first. Sent again, it would be too large again.
 */
const tooLarge = (cause: Error) =>
  new PlimsollError('request_too_large', `The request's body is larger than ${MAX_BODY_BYTES} bytes.`, { cause });

function refuse(response: ServerResponse, error: PlimsollError): void {
  if (response.destroyed) return;
  const again = error.code === 'backend_unavailable' ? { 'retry-after': '1' } : {};
  response.writeHead(error.status, { 'content-type': 'application/json', ...again });
  response.end(JSON.stringify(error.toBody()));
}
