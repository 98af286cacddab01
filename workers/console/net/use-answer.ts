/** What a page shows while it asks, once it knows, and if it cannot know. */
import { useCallback, useEffect, useState } from 'preact/hooks';
import { ApiError } from './api.ts';

export type Answer<T> = {
  value: T | null;
  error: ApiError | null;
  /** Whether it is being asked for, the first time or again. */
  asking: boolean;
  again: () => void;
};

/**
 * Asks when the page opens, and whenever one of `of` changes. A late answer to an old question is
 * dropped.
 */
export function useAnswer<T>(ask: (signal: AbortSignal) => Promise<T>, of: readonly unknown[]): Answer<T> {
  const [{ value, error, asking }, setState] = useState<Omit<Answer<T>, 'again'>>({
    value: null,
    error: null,
    asking: true,
  });
  const [round, setRound] = useState(0);
  useEffect(() => {
    const control = new AbortController();
    setState((last) => ({ ...last, asking: true }));
    ask(control.signal).then(
      (value) => !control.signal.aborted && setState({ value, error: null, asking: false }),
      (thrown: unknown) =>
        !control.signal.aborted && setState((last) => ({ ...last, error: asApiError(thrown), asking: false })),
    );
    return () => control.abort();
  }, [...of, round]);
  return { value, error, asking, again: useCallback(() => setRound((last) => last + 1), []) };
}

export function asApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new ApiError(message, { status: 0, code: 'broken' });
}
