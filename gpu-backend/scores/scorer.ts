/**
 * A backend's scorer: the thread of the heads, which starts with the first request and ends when
 * nobody has asked for a while. It holds a second session over the bundle's weights meanwhile, on
 * the CPU, whatever the engine runs on.
 */
import { Worker } from 'node:worker_threads';
import { PlimsollError } from '#shared/api/errors.ts';
import type { FromScores, ScoreThreadData, ToScores } from './score-messages.ts';
import type { Scores } from './score-with-heads.ts';

export type Scorer = {
  /**
   * Throws a PlimsollError: `overloaded` if too many wait, `expert_failed` if the heads failed or
   * gave no number.
   *
   * @param ids a whole conversation, with its end token, no longer than the context
   */
  score(ids: readonly number[]): Promise<{ scores: Scores; digest: string }>;
  close(): Promise<void>;
};

const THREAD = new URL('./score-thread.ts', import.meta.url);
const MOST_WAITING = 64;
const IDLE_MS = 5 * 60_000;

type Waiting = { resolve: (found: { scores: Scores; digest: string }) => void; reject: (error: PlimsollError) => void };

export function createScorer(data: ScoreThreadData, { idleMs = IDLE_MS }: { idleMs?: number } = {}): Scorer {
  const waiting = new Map<number, Waiting>();
  let worker: Worker | null = null;
  let idle: NodeJS.Timeout | undefined;
  let nextId = 1;
  let isClosed = false;
  let gone: Promise<unknown> = Promise.resolve();

  const send = (message: ToScores) => worker?.postMessage(message);
  const failAll = (message: string) => {
    for (const { reject } of waiting.values()) reject(failed(message));
    waiting.clear();
  };

  function start(): void {
    const started = new Worker(THREAD, { workerData: data });
    worker = started;
    started.on('message', hear);
    // 'exit' follows. Without a listener, the error would end this process, not just the thread.
    started.on('error', (error) => failAll(error.message));
    gone = new Promise((resolve) => {
      started.once('exit', () => {
        if (worker === started) {
          worker = null;
          failAll('their thread ended');
        }
        resolve(undefined);
      });
    });
  }

  function hear(message: FromScores): void {
    if (message.type === 'failed' && message.id === null) {
      worker = null;
      failAll(message.message);
      return;
    }
    // The cast: only a `failed` message may have no id, and that was the one above.
    const id = message.id as number;
    const asked = waiting.get(id);
    waiting.delete(id);
    if (message.type === 'failed') asked?.reject(failed(message.message));
    else if (Object.values(message.scores).some((score) => !Number.isFinite(score))) {
      asked?.reject(failed('they gave no finite number'));
    } else asked?.resolve(message);
    restIfIdle();
  }

  function restIfIdle(): void {
    clearTimeout(idle);
    if (waiting.size > 0) return;
    idle = setTimeout(rest, idleMs);
    idle.unref();
  }

  function rest(): void {
    send({ type: 'close' });
    worker = null;
  }

  return {
    score(ids) {
      if (isClosed) throw new PlimsollError('backend_unavailable', 'The backend is shutting down.');
      if (waiting.size >= MOST_WAITING)
        throw new PlimsollError('overloaded', 'Too many answers wait for their scores.');
      clearTimeout(idle);
      if (worker === null) start();
      const id = nextId++;
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        send({ type: 'score', id, ids });
      });
    },
    async close() {
      isClosed = true;
      clearTimeout(idle);
      failAll('the backend is shutting down');
      if (worker !== null) rest();
      await gone;
    },
  };
}

const failed = (why: string) => new PlimsollError('expert_failed', `The score heads failed: ${why}.`);
