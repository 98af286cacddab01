/**
 * A way to a backend that breaks in the middle of an answer, for tests of what goes on elsewhere.
 */
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

export type BreakingLine = {
  url: string;
  /** Tokens after which the next connection breaks, once; null: it holds. */
  breakAfter: number | null;
  /** How often it has broken. */
  broken: number;
  close(): Promise<void>;
};

export async function breakingLine(target: string): Promise<BreakingLine> {
  const to = Number(new URL(target).port);
  const sockets = new Set<Socket>();
  const server: Server = createServer();
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    const upstream = connect(to, '127.0.0.1');
    for (const one of [socket, upstream]) {
      sockets.add(one);
      one.on('error', () => {});
      one.on('close', () => {
        sockets.delete(one);
        socket.destroy();
        upstream.destroy();
      });
    }
    socket.pipe(upstream);
    let tokens = 0;
    upstream.on('data', (data: Buffer) => {
      tokens += data.toString('latin1').split('"type":"token"').length - 1;
      socket.write(data);
      if (line.breakAfter === null || tokens < line.breakAfter) return;
      line.breakAfter = null;
      line.broken++;
      // What was written is sent first.
      socket.end();
      upstream.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const line: BreakingLine = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    breakAfter: null,
    broken: 0,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return line;
}
