/**
 * miniflare opens a port of its own beside workerd's, for its tools (temporary files, logs,
 * browsers), and answers there whoever asks, pages in a browser included: a request can make it
 * write any file that its user may write. Nothing that the edge uses needs that port, so every
 * connection to it is cut before a byte of it is read.
 */
import http from 'node:http';

/** The name under which miniflare 4 keeps what answers there. */
const LISTENER = '#handleLoopback';

let started = 0;
let closed = 0;
let watching = false;

/** To be called before a Miniflare is made. */
export function cutLoopback(): void {
  if (watching) return;
  watching = true;
  const { createServer } = http;
  // By a property of the module, because that is how miniflare calls it.
  http.createServer = ((...args: unknown[]) => {
    const server: http.Server = Reflect.apply(createServer, http, args);
    if (args.some((arg) => typeof arg === 'function' && arg.name === LISTENER)) {
      closed += 1;
      server.removeAllListeners('connection');
      server.on('connection', (socket) => socket.destroy());
    }
    return server;
  }) as typeof http.createServer;
}

/**
 * To be called once it runs: a miniflare that has another name for it must not open the port again
 * unseen.
 */
export function assertLoopbackCut(): void {
  started += 1;
  if (closed >= started) return;
  throw new Error(`the edge may not run: this miniflare has no ${LISTENER}, so its port cannot be closed to others`);
}
