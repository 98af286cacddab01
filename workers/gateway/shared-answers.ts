/**
 * Answers under way that several requests share: equal requests of one API key, in this isolate.
 * The first of them leads: its backend makes the answer, and it pays for it. The others follow, and
 * get the same pieces at the same time.
 *
 * In workerd, a stream and a timer belong to the request that made them, and a promise may be
 * waited for by any. So the leader's request alone reads from the backend, into a list, and
 * everybody reads that list. If the leader's client leaves, its request reads on as long as
 * somebody follows. Only when all have left is the backend told to stop.
 *
 * A follower always has a timer of its own: the runtime ends a request that waits for nothing but
 * another one. So it also notices a leader whose request the runtime has ended.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import { within } from '../request/within.ts';
import type { AnswerEnd, AnswerEvents, TextDelta } from './read-answer.ts';

/** How often the leader says that it is there, and for how long it may say nothing. */
const BEAT_MS = 1_000;
const LOST_MS = 10_000;

/** What followers share of an answer as it begins. */
export type SharedHead = { model: string; systemFingerprint: string };

/** A whole answer, and what followers share of its beginning. */
export type MadeAnswer = { head: SharedHead; deltas: readonly TextDelta[]; end: AnswerEnd };

type Outcome = { end: AnswerEnd } | { thrown: unknown };
type Run = {
  head: SharedHead | null;
  isWaiting: boolean;
  deltas: TextDelta[];
  outcome: Outcome | null;
  /** The leader has ended it for reasons of its own, which are not the followers'. */
  isGivenUp: boolean;
  readers: number;
  heardAtMs: number;
  wake: (() => void)[];
  /** Resolves once nobody reads. */
  abandoned: PromiseWithResolvers<void>;
};

export type Leader = {
  /** Call this when the answer's request waits at a backend. */
  waits(): void;
  /**
   * Call this if nothing comes of it that others could share. If it has not begun, they ask for
   * themselves.
   */
  giveUp(): void;
  /**
   * Call this once, with the answer as it begins. Resolves when the answer is over, and never
   * rejects. `keep` gets a whole answer before it is over for the others, so that an equal request
   * finds it either here or kept.
   */
  read(
    begun: Promise<SharedHead & { events: AnswerEvents }>,
    keep: (answer: MadeAnswer) => Promise<void>,
  ): Promise<void>;
  /** What the leader's own client gets. */
  readonly own: Reader;
  /** Resolves once nobody wants the answer any more. */
  readonly abandoned: Promise<void>;
};

type Reader = {
  /**
   * Resolves when the answer has begun, or with null when the client has to be told to wait.
   * Rejects with what came instead. `gone`: the leader has gone, so a follower asks for itself.
   */
  ready(): Promise<SharedHead | null | 'gone'>;
  /** Resolves when the answer has begun. Rejects if it never does. */
  begun(): Promise<SharedHead>;
  events(): AnswerEvents;
  /** Call this when the client has left, or has all that it wanted. More calls do nothing. */
  leave(): void;
};

type SharedAnswers = {
  /** Leads a new answer, which others with this key follow from now on. */
  lead(key: string): Leader;
  /** Follows an answer that is under way; null if there is none. */
  follow(key: string): Reader | null;
};

export function createSharedAnswers({ now = Date.now }: { now?: () => number } = {}): SharedAnswers {
  const runs = new Map<string, Run>();
  const isLost = (run: Run) => run.outcome === null && now() - run.heardAtMs > LOST_MS;

  function forget(key: string, run: Run): void {
    if (runs.get(key) === run) runs.delete(key);
  }

  function join(key: string, run: Run): Reader {
    run.readers++;
    let hasLeft = false;
    const changed = () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      run.wake.push(resolve);
      return within(BEAT_MS, promise, () => undefined);
    };
    async function untilSomething(isThere: () => boolean): Promise<void> {
      while (!isThere() && run.outcome === null) {
        if (isLost(run)) {
          forget(key, run);
          throw lost();
        }
        await changed();
      }
    }
    const failed = () => {
      if (run.outcome !== null && 'thrown' in run.outcome) throw run.outcome.thrown;
    };
    const leave = () => {
      if (hasLeft) return;
      hasLeft = true;
      run.readers--;
      if (run.readers > 0 || run.outcome !== null) return;
      // Nobody may join what is about to stop.
      forget(key, run);
      run.abandoned.resolve();
    };
    return {
      leave,
      async ready() {
        try {
          await untilSomething(() => run.head !== null || run.isWaiting);
        } catch {
          return 'gone';
        }
        if (run.head !== null) return run.head;
        if (run.isGivenUp) return 'gone';
        failed();
        return null;
      },
      async begun() {
        await untilSomething(() => run.head !== null);
        if (run.head !== null) return run.head;
        failed();
        throw lost();
      },
      async *events() {
        try {
          for (let next = 0; ; ) {
            await untilSomething(() => next < run.deltas.length);
            const delta = run.deltas[next];
            if (delta !== undefined) {
              next++;
              yield delta;
              continue;
            }
            failed();
            if (run.outcome !== null && 'end' in run.outcome) return run.outcome.end;
          }
        } finally {
          leave();
        }
      },
    };
  }

  return {
    lead(key) {
      const run: Run = {
        head: null,
        isWaiting: false,
        deltas: [],
        outcome: null,
        isGivenUp: false,
        readers: 0,
        heardAtMs: now(),
        wake: [],
        abandoned: Promise.withResolvers<void>(),
      };
      runs.set(key, run);
      const tell = () => {
        run.heardAtMs = now();
        for (const wake of run.wake.splice(0)) wake();
      };
      const end = (outcome: Outcome) => {
        run.outcome = outcome;
        forget(key, run);
        tell();
      };
      return {
        own: join(key, run),
        abandoned: run.abandoned.promise,
        waits() {
          run.isWaiting = true;
          tell();
        },
        giveUp() {
          run.isGivenUp = true;
          end({ thrown: lost() });
        },
        async read(begun, keep) {
          const beat = setInterval(() => {
            run.heardAtMs = now();
          }, BEAT_MS);
          try {
            const { events, ...head } = await begun;
            run.head = head;
            tell();
            let next = await events.next();
            for (; !next.done; next = await events.next()) {
              run.deltas.push(next.value);
              tell();
            }
            await keep({ head, deltas: run.deltas, end: next.value });
            end({ end: next.value });
          } catch (thrown) {
            if (run.outcome === null) end({ thrown });
          } finally {
            clearInterval(beat);
          }
        },
      };
    },
    follow(key) {
      const run = runs.get(key);
      return run === undefined || isLost(run) ? null : join(key, run);
    },
  };
}

function lost(): PlimsollError {
  return new PlimsollError(
    'backend_unavailable',
    'The request that this one shared its answer with has gone. Please try again.',
  );
}
