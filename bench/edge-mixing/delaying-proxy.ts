import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';

/** A TCP proxy that makes the other end seem far away. */
export type DelayingProxy = {
  url: string;
  /**
   * The time from a byte to the first byte that answers it, in ms, beside
   * what the answer takes.
   */
  roundTripMs: number;
  close(): Promise<void>;
};

/** @param target the URL of a server on this machine */
export async function startDelayingProxy(target: string): Promise<DelayingProxy> {
  const { hostname, port } = new URL(target);
  const open = new Set<Socket>();
  const proxy: DelayingProxy = { url: '', roundTripMs: 0, close };
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true);
      open.add(socket);
      socket.on('close', () => open.delete(socket));
      socket.on('error', () => socket.destroy());
    }
    carry(client, upstream);
    carry(upstream, client);
  });
  function carry(from: Socket, to: Socket): void {
    // Equal delays keep the order. Without any, nothing waits for a timer.
    const later = (what: () => void) => (proxy.roundTripMs === 0 ? what() : setTimeout(what, proxy.roundTripMs / 2));
    from.on('data', (bytes) => later(() => !to.destroyed && to.write(bytes)));
    from.on('close', () => later(() => to.destroy()));
  }
  async function close(): Promise<void> {
    for (const socket of open) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  proxy.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return proxy;
}
