/** One lane's answer: nothing yet, coming in, whole, stopped or failed. */
import { useCallback, useRef, useState } from 'preact/hooks';
import type { SentExtension } from '#shared/api/plimsoll-extension.ts';
import type { ApiError } from '../net/api.ts';
import { asApiError } from '../net/use-answer.ts';
import { type Asked, askLine, type Depth, type LaneLine, type ReadToken, requestOf } from './ask.ts';

export type LaneAnswer = {
  state: 'none' | 'asking' | 'streaming' | 'done' | 'stopped' | 'failed';
  text: string;
  /** Empty if the policy does not let anybody see them. */
  tokens: readonly ReadToken[];
  extension: SentExtension | null;
  finishReason: string | null;
  error: ApiError | null;
  /** What was sent, as JSON: the receipt has its digest. */
  sent: string | null;
  /** The policy keeps the tokens' numbers to itself. */
  withoutTrace: boolean;
};

const NONE: LaneAnswer = {
  ...{ state: 'none', text: '', tokens: [], extension: null, finishReason: null },
  ...{ error: null, sent: null, withoutTrace: false },
};

export function useLane() {
  const [answer, setAnswer] = useState<LaneAnswer>(NONE);
  const running = useRef<AbortController | null>(null);

  const stop = useCallback(() => running.current?.abort(), []);
  const start = useCallback(async (asked: Asked, line: LaneLine) => {
    running.current?.abort();
    const control = new AbortController();
    running.current = control;
    // An answer that is no longer wanted changes nothing any more.
    const set = (change: (last: LaneAnswer) => LaneAnswer) =>
      setAnswer((last) => (running.current === control ? change(last) : last));
    await run(asked, line, { set, control, depth: 'candidates' });
  }, []);
  const clear = useCallback(() => {
    running.current?.abort();
    running.current = null;
    setAnswer(NONE);
  }, []);
  return { answer, start, stop, clear };
}

type Run = {
  set: (change: (last: LaneAnswer) => LaneAnswer) => void;
  control: AbortController;
  depth: Depth;
};

async function run(asked: Asked, line: LaneLine, { set, control, depth }: Run): Promise<void> {
  const body = requestOf(asked, line, depth);
  set(() => ({ ...NONE, state: 'asking', sent: JSON.stringify(body), withoutTrace: depth === 'summary' }));
  try {
    for await (const event of askLine(body, { line, signal: control.signal })) {
      if (event.type === 'delta') {
        const { text, tokens } = event;
        set((last) => ({
          ...last,
          state: 'streaming',
          text: last.text + text,
          tokens: tokens.length > 0 ? [...last.tokens, ...tokens] : last.tokens,
        }));
      } else {
        const { extension, finishReason } = event;
        set((last) => ({ ...last, state: 'done', extension, finishReason }));
      }
    }
  } catch (thrown) {
    if (control.signal.aborted) return set((last) => ({ ...last, state: 'stopped' }));
    const error = asApiError(thrown);
    const lesser = depthWithin(depth, error);
    if (lesser !== null) return run(asked, line, { set, control, depth: lesser });
    set((last) => ({ ...last, state: 'failed', error }));
  }
}

const CANDIDATE_FIELDS = ['logprobs', 'top_logprobs', 'plimsoll.top'];

/** What to ask in place of what the policy refuses. null: it was refused for something else. */
function depthWithin(depth: Depth, { code, param }: ApiError): Depth | null {
  if (depth === 'candidates' && CANDIDATE_FIELDS.includes(param ?? '')) return 'tokens';
  if (depth !== 'summary' && code === 'permission_denied' && param === 'plimsoll.trace') return 'summary';
  return null;
}
