/**
 * Closes miniflare's own port to everybody. miniflare opens it next to workerd's, for its tools
 * (temporary files, logs, browsers), and answers anyone who asks there, even a page in a browser.
 * One request can make it write any file that its user may write. So whoever asks there gets a 404,
 * and miniflare never sees the request. The local queue writes its log there; it wants an answer,
 * but does not read it.
 */
import http from 'node:http';

/** The name of the function that answers there, in miniflare 4. */
const LISTENER = '#handleLoopback';

let started = 0;
let closed = 0;
let watching = false;

/** Call this before a Miniflare is made. */
export function cutLoopback(): void {
  if (watching) return;
  watching = true;
  const { createServer } = http;
  // We replace the property of the module, because that is how miniflare calls it.
  http.createServer = ((...args: unknown[]) => {
    const isListener = (arg: unknown) => typeof arg === 'function' && arg.name === LISTENER;
    if (!args.some(isListener)) return Reflect.apply(createServer, http, args);
    closed += 1;
    const refuse: http.RequestListener = (_request, response) => void response.writeHead(404).end();
    const server: http.Server = Reflect.apply(
      createServer,
      http,
      args.map((arg) => (isListener(arg) ? refuse : arg)),
    );
    const { on } = server;
    // The cast: `on` has an overload for each event. miniflare also takes WebSockets there.
    server.on = ((event: string, listener: (...args: unknown[]) => void) =>
      event === 'upgrade' ? server : Reflect.apply(on, server, [event, listener])) as typeof server.on;
    return server;
  }) as typeof http.createServer;
}

/**
 * Call this once Miniflare runs. If another version of miniflare uses another name, it must not
 * open the port again unnoticed.
 */
export function assertLoopbackCut(): void {
  started += 1;
  if (closed >= started) return;
  throw new Error(`the edge may not run: this miniflare has no ${LISTENER}, so its port cannot be closed to others`);
}
