/**
 * Calls `work` once the signal is aborted. If it is already, that is now: it fires no event any
 * more, and a listener would wait for ever.
 */
export function onAbort(signal: AbortSignal, work: () => void): void {
  if (signal.aborted) work();
  else signal.addEventListener('abort', work, { once: true });
}
