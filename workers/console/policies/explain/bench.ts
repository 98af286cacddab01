/** Prompts on a bench: each explained under a version, and beside it under the active one. */
import { useRef, useState } from 'preact/hooks';
import type * as z from 'zod';
import type { Explanation } from '#policies/explain.ts';
import { type Messages, textOfTurns } from '#policies/simulation/read-prompts.ts';
import type { ExplainAnswer } from '../../../control/explain.ts';
import { type ApiError, callJson } from '../../net/api.ts';
import { asApiError } from '../../net/use-answer.ts';

export type Explained = Explanation & Pick<z.infer<typeof ExplainAnswer>, 'signals' | 'second_look'>;

export type Benched = {
  messages: Messages;
  found: Explained | null;
  /** Under the active version; null if that is the one, or was not asked. */
  active: Explained | null;
  error: ApiError | null;
};

type Asking = {
  at: string;
  version: string;
  active: string | null;
  /** Whose second look is asked for, which costs tokens; null: nobody's. */
  model: string | null;
};

export function useBench() {
  const [rows, setRows] = useState<readonly Benched[]>([]);
  const [busy, setBusy] = useState(false);
  const running = useRef<AbortController | null>(null);

  const stop = () => running.current?.abort();
  const start = async (prompts: readonly Messages[], { at, version, active, model }: Asking) => {
    stop();
    const control = new AbortController();
    running.current = control;
    setBusy(true);
    setRows(prompts.map((messages) => ({ messages, found: null, active: null, error: null })));
    const ask = (which: string, messages: Messages) =>
      callJson<Explained>(`${at}/policies/${which}/explain`, {
        method: 'POST',
        body: { messages, ...(model !== null && { model }) },
        signal: control.signal,
      });
    for (const [index, messages] of prompts.entries()) {
      if (control.signal.aborted) break;
      const change = (to: Partial<Benched>) =>
        running.current === control && setRows((last) => last.map((row, i) => (i === index ? { ...row, ...to } : row)));
      try {
        const [found, beside] = await Promise.all([
          ask(version, messages),
          active === null ? null : ask(active, messages),
        ]);
        change({ found, active: beside });
      } catch (thrown) {
        if (!control.signal.aborted) change({ error: asApiError(thrown) });
      }
    }
    if (running.current === control) setBusy(false);
  };
  return { rows, busy, start, stop };
}

/** What comes of a prompt, in the numbers that people compare. */
export type Outcome = { action: 'mix' | 'safety_only' | 'refuse' | 'forbid'; floor: number; budget: number | null };

export function outcomeOf({ verdict }: Explained): Outcome {
  if (verdict.action !== 'answer') return { action: verdict.action, floor: 1, budget: 0 };
  const { action, floor, budget } = verdict.line;
  return { action, floor, budget };
}

/** The prompt as a policy's own test, which holds it to what comes of it now. */
export function testOf({ messages, found }: Benched): string | null {
  if (found === null) return null;
  const { action, floor, budget } = outcomeOf(found);
  if (action === 'forbid') return null;
  const fires = found.fired.filter(({ look }) => look === 'edge').map(({ signal }) => signal);
  const expect = {
    ...(action === 'mix' ? { floor_at_least: floor, ...(budget !== null && { budget_at_most: budget }) } : { action }),
    ...(fires.length > 0 && { fires }),
  };
  return JSON.stringify({ prompt: textOfTurns(messages), expect }, null, 2);
}
