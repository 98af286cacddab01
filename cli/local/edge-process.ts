/**
 * The edge as a process of its own. It gets its settings as a message, which keeps secrets out of
 * the command line.
 */
import { type Edge, type EdgeOptions, startEdge } from '#workers/local/start-edge.ts';

/** The options that can be sent to another process. A log function cannot. */
export type EdgeSettings = Omit<EdgeOptions, 'log'>;
export type EdgeReply = { url: string } | { error: string };

const reply = (message: EdgeReply) => process.send?.(message);

// Until the edge runs, waiting for the settings message keeps this process alive.
process.channel?.ref();

let edge: Edge | undefined;
process.once('message', (options: EdgeSettings) => {
  startEdge(options).then(
    (started) => {
      edge = started;
      reply({ url: started.url });
    },
    (error: Error) => reply({ error: error.message }),
  );
});
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => void Promise.resolve(edge?.dispose()).finally(() => process.exit(0)));
}
