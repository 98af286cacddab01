/**
 * The edge as a process of its own, with a server in front that keeps clients' connections. It gets
 * its settings as a message, which keeps secrets out of the command line.
 */
import { type Front, startFront } from '#workers/local/keep-alive-front.ts';
import { type Edge, type EdgeOptions, startEdge } from '#workers/local/start-edge.ts';

const HOST = '127.0.0.1';

/** The options that can be sent to another process. A log function cannot. */
export type EdgeSettings = Omit<EdgeOptions, 'log'>;
export type EdgeReply = { url: string } | { error: string };

const reply = (message: EdgeReply) => process.send?.(message);

// Until the edge runs, waiting for the settings message keeps this process alive.
process.channel?.ref();

let edge: Edge | undefined;
let front: Front | undefined;
process.once('message', (options: EdgeSettings) => {
  start(options).then(
    ({ url }) => reply({ url }),
    (error: Error) => reply({ error: error.message }),
  );
});

/** `port` is where the front listens. The edge takes any free one. */
async function start({ port, ...options }: EdgeSettings): Promise<Front> {
  edge = await startEdge({ ...options, port: 0 });
  front = await startFront({ host: HOST, port, upstream: edge.url });
  return front;
}

async function stop(): Promise<void> {
  await front?.close();
  await edge?.dispose();
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => void stop().finally(() => process.exit(0)));
}
