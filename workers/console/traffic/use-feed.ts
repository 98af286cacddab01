/** The latest requests, asked for again and again while somebody follows them. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type * as z from 'zod';
import type { TrafficAnswer } from '../../control/traffic.ts';
import { type ApiError, callJson } from '../net/api.ts';
import { asApiError } from '../net/use-answer.ts';

type Traffic = z.infer<typeof TrafficAnswer>;
export type LiveRequest = Traffic['data'][number];

const EVERY_MS = 2_000;
/** After an error, so that nobody is refused for asking too often. */
const AGAIN_MS = 10_000;
/** How many the page keeps. */
const MOST_SHOWN = 200;

export type Feed = {
  /** Newest first; null: not known yet. */
  requests: readonly LiveRequest[] | null;
  since: string | null;
  lost: number;
  error: ApiError | null;
};

const NOTHING: Feed = { requests: null, since: null, lost: 0, error: null };

/** @param at where to ask. Another address begins anew */
export function useFeed(at: string, { follows }: { follows: boolean }): Feed {
  const [feed, setFeed] = useState<Feed>(NOTHING);
  const cursor = useRef<{ at: string; value: string | null }>({ at, value: null });
  useEffect(() => {
    if (cursor.current.at !== at) {
      cursor.current = { at, value: null };
      setFeed(NOTHING);
    }
    if (!follows) return;
    const control = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async () => {
      let waitMs = EVERY_MS;
      try {
        // A page that nobody sees asks for nothing.
        if (document.visibilityState === 'visible') {
          const after = cursor.current.value === null ? '' : `?after=${cursor.current.value}`;
          const { data, cursor: next, since, lost } = await callJson<Traffic>(`${at}${after}`, control);
          cursor.current.value = next;
          setFeed(({ requests, since: before }) => ({
            // The edge has forgotten what was before, and numbers anew.
            requests: [...data.reverse(), ...(before === since ? (requests ?? []) : [])].slice(0, MOST_SHOWN),
            ...{ since, lost },
            error: null,
          }));
        }
      } catch (thrown) {
        if (control.signal.aborted) return;
        const error = asApiError(thrown);
        waitMs = Math.max(AGAIN_MS, (error.retryAfterSeconds ?? 0) * 1000);
        setFeed((last) => ({ ...last, error }));
      }
      timer = setTimeout(look, waitMs);
    };
    void look();
    return () => {
      control.abort();
      clearTimeout(timer);
    };
  }, [at, follows]);
  return feed;
}
