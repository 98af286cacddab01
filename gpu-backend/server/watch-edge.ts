/**
 * Notices an edge that leaves its row alone. Every few seconds, an edge says that it is here, so
 * silence means that it is gone. One that is here may wait for the other expert, or for a client
 * that reads slowly, but not for long: the row holds memory that others wait for, and the edge asks
 * again once it goes on. While the prompt waits or is read, there is nothing yet to take.
 */
import { PlimsollError } from '#shared/api/errors.ts';
import { SILENT_EDGE_MS } from '#shared/protocol/expert-messages.ts';

/** How long a socket may stay without its first message. */
const OPEN_MS = 10_000;
/** How long an edge that is here, and has a row, may take no token. */
const STALLED_MS = 60_000;

type EdgeWatch = {
  /** It has said what it wants. */
  opened(): void;
  isHere(): void;
  /** It has been sent a row. */
  gaveRow(): void;
  /** It has drawn a token. */
  took(): void;
  stop(): void;
};

/**
 * @param onGone is called once, with an error that lets the edge ask again. It does not count
 *   against this backend.
 */
export function watchEdge({ onGone }: { onGone: (why: PlimsollError) => void }): EdgeWatch {
  let stalls: NodeJS.Timeout | undefined;
  const gone = (seconds: number, what: string) => () => {
    stop();
    onGone(new PlimsollError('overloaded', `The edge ${what} for ${seconds} s, so its row is free for others.`));
  };
  const waitFor = (ms: number, what: string) => setTimeout(gone(ms / 1000, what), ms);
  let silence = waitFor(OPEN_MS, 'has asked nothing');
  function stop(): void {
    clearTimeout(silence);
    clearTimeout(stalls);
  }
  function isHere(): void {
    clearTimeout(silence);
    silence = waitFor(SILENT_EDGE_MS, 'has said nothing');
  }
  function gaveRow(): void {
    stalls ??= waitFor(STALLED_MS, 'has drawn nothing');
  }
  function took(): void {
    clearTimeout(stalls);
    stalls = waitFor(STALLED_MS, 'has drawn nothing');
    isHere();
  }
  return { opened: isHere, isHere, gaveRow, took, stop };
}
