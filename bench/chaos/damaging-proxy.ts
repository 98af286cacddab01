/**
 * A proxy in front of a backend that spoils some of its answers on the way, in ways other than a
 * kill. What it does to which answer comes from `random`.
 */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';

const DAMAGES = ['reset', 'stall', 'cut', 'wrong-mac'] as const;
export type Damage = (typeof DAMAGES)[number];

export type DamagingProxy = {
  url: string;
  /** From now on, it spoils this share of the answers. Returns how often it has done what. */
  spoil(share: number): Readonly<Record<Damage, number>>;
  close(): Promise<void>;
};

/** At first, it passes everything on. */
export async function startDamagingProxy(target: string, { random }: { random: () => number }): Promise<DamagingProxy> {
  const done: Record<Damage, number> = { reset: 0, stall: 0, cut: 0, 'wrong-mac': 0 };
  let share = 0;
  const server = createServer((request, response) => {
    const { method, url, headers } = request;
    const upstream = httpRequest(new URL(url!, target), { method, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.on('error', () => response.destroy());
      const isSpoiled = url === '/v1/generate' && answer.statusCode === 200 && random() < share;
      if (!isSpoiled) return void answer.pipe(response);
      const damage = DAMAGES[Math.floor(random() * DAMAGES.length)]!;
      spoil(answer, response, { damage, after: 2 + Math.floor(random() * 40), onDone: () => done[damage]++ });
    });
    // Whatever happens on one side happens on the other.
    upstream.on('error', () => response.destroy());
    response.on('close', () => upstream.destroy());
    request.pipe(upstream);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spoil(next) {
      share = next;
      return done;
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Passes on `after` lines, and then does the damage. */
function spoil(
  answer: IncomingMessage,
  response: ServerResponse,
  { damage, after, onDone }: { damage: Damage; after: number; onDone: () => void },
): void {
  let seen = 0;
  const lines = createInterface({ input: answer });
  lines.on('error', () => response.destroy());
  lines.on('line', (line) => {
    if (response.destroyed || response.writableEnded || seen > after) return;
    if (seen++ < after) return void response.write(`${line}\n`);
    if (damage === 'reset') response.socket?.resetAndDestroy();
    if (damage === 'cut') response.end(line.slice(0, line.length / 2));
    if (damage === 'wrong-mac') {
      const forged = line.replace(/"mac":"./, '"mac":"_');
      // The last line of an answer has no MAC, and one in 64 begins so by chance.
      if (forged === line) return void response.end(`${line}\n`);
      response.write(`${forged}\n`);
      response.end();
    }
    onDone();
  });
  lines.on('close', () => {
    if (damage !== 'stall' || seen <= after) response.end();
  });
}
