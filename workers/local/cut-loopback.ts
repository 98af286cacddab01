/**
 * Cuts the connections to miniflare's own port. miniflare opens it next to workerd's, for its tools
 * (temporary files, logs, browsers), and answers anyone who asks there, even a page in a browser.
 * One request can make it write any file that its user may write. The edge uses nothing that needs
 * this port, so we cut every connection to it before a byte of it is read.
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
 * Call this once Miniflare runs. If another version of miniflare uses another name, it must not
 * open the port again unnoticed.
 */
export function assertLoopbackCut(): void {
  started += 1;
  if (closed >= started) return;
  throw new Error(`the edge may not run: this miniflare has no ${LISTENER}, so its port cannot be closed to others`);
}
