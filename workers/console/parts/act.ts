/** Something that changes the edge's state: once at a time, and what went wrong is kept. */
import { useState } from 'preact/hooks';
import type { ApiError } from '../net/api.ts';
import { asApiError } from '../net/use-answer.ts';

export function useAct() {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  /** Whether it went well. */
  const act = async (doing: () => Promise<unknown>): Promise<boolean> => {
    setBusy(true);
    setError(null);
    try {
      await doing();
      return true;
    } catch (thrown) {
      setError(asApiError(thrown));
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, error, act, forget: () => setError(null) };
}
