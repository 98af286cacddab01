/** The heads' thread: opens the bundle and its heads, and scores one conversation after another. */
import { parentPort, workerData } from 'node:worker_threads';
import { openBundle } from '../model/load-bundle.ts';
import { readScoreHeads } from '../model/score-heads.ts';
import type { FromScores, ScoreThreadData, ToScores } from './score-messages.ts';
import { type HeadScorer, openHeadScorer } from './score-with-heads.ts';

// Only scorer.ts starts this file, with these options.
const { dir, threads, contextLength } = workerData as ScoreThreadData;
const port = parentPort!;
const post = (message: FromScores) => port.postMessage(message);
const wordsOf = (thrown: unknown) => (thrown instanceof Error ? thrown.message : String(thrown));

async function open(): Promise<{ scorer: HeadScorer; digest: string }> {
  const bundle = await openBundle(dir);
  const heads = await readScoreHeads(dir, bundle.manifest, bundle.config);
  if (heads === null) throw new Error(`${dir} has no score heads any more`);
  const config = { ...bundle.config, max_position_embeddings: contextLength };
  return { scorer: await openHeadScorer({ ...bundle, config }, heads, { threads }), digest: bundle.digest };
}

const opened = open();
opened.catch((thrown: unknown) => {
  post({ type: 'failed', id: null, message: wordsOf(thrown) });
  port.close();
});

// One after the other: two runs at once would only share the cores.
let before: Promise<unknown> = opened;
port.on('message', (message: ToScores) => {
  before = before.then(
    () => handle(message),
    () => undefined,
  );
});

async function handle(message: ToScores): Promise<void> {
  const { scorer, digest } = await opened;
  if (message.type === 'close') {
    await scorer.dispose();
    port.close();
    return;
  }
  const { id } = message;
  try {
    post({ type: 'scored', id, scores: await scorer.score(message.ids), digest });
  } catch (thrown) {
    post({ type: 'failed', id, message: wordsOf(thrown) });
  }
}
