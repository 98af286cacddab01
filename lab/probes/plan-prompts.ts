/**
 * What is read of each prompt: its tokens as the safety expert's row has them, and the windows that
 * are pooled. Several window sizes are read at once, so that one can be chosen later. Windows that
 * two sizes share are read once: a short prompt is one window in all of them.
 */
import { windowsOf } from '#gpu-backend/engine/second-look.ts';
import type { BundleHead } from '#gpu-backend/model/load-bundle.ts';
import type { LookedMessage } from '#gpu-backend/model/looked-messages.ts';
import { renderRows } from '#gpu-backend/model/render-rows.ts';
import type { Message } from '#shared/protocol/generate.ts';

/** A stretch of tokens that is looked at as one; `last` is the token by which it has been read. */
type Piece = LookedMessage;

export type PlannedPrompt = {
  /** The place in the list of prompts. */
  prompt: number;
  ids: readonly number[];
  pieces: readonly Piece[];
  /** For each window size, which of the pieces. */
  ofWindow: readonly (readonly number[])[];
};

type Readable = Pick<BundleHead, 'renderChat' | 'readChat' | 'prompts'>;

/** @param asked a user's message, or a conversation */
export function planPrompt(
  asked: string | readonly Message[],
  { prompt, bundle, windows }: { prompt: number; bundle: Readable; windows: readonly number[] },
): PlannedPrompt {
  const messages = typeof asked === 'string' ? [{ role: 'user' as const, content: asked }] : asked;
  const { promptIds, rowPrompts, looked } = renderRows(messages, bundle);
  if (looked === undefined) throw new Error('found no message to look at, although they were asked for');
  const pieces: Piece[] = [];
  const ofWindow = windows.map((window) =>
    windowsOf(looked, window).map((piece) => {
      const known = pieces.findIndex(
        ({ from, to, last }) => from === piece.from && to === piece.to && last === piece.last,
      );
      return known >= 0 ? known : pieces.push(piece) - 1;
    }),
  );
  return { prompt, ids: rowPrompts.safety ?? promptIds, pieces, ofWindow };
}

/**
 * An answer after its prompt: its first tokens, as far as each cut, and then the windows of the
 * prompt. null if the answer ends before the last cut.
 */
export function planAnswer(
  { prompt: messages, answer }: { prompt: readonly Message[]; answer: string },
  {
    prompt,
    bundle,
    window,
    cuts,
  }: {
    prompt: number;
    bundle: Readable & { tokenizer: Pick<BundleHead['tokenizer'], 'encode'> };
    window: number;
    cuts: readonly number[];
  },
): PlannedPrompt | null {
  const longest = Math.max(...cuts);
  const answered = bundle.tokenizer.encode(answer).slice(0, longest);
  if (answered.length < longest) return null;
  const { ids, pieces, ofWindow } = planPrompt(messages, { prompt, bundle, windows: [window] });
  const from = ids.length;
  const begun = cuts.map((length) => ({ from, to: from + length, last: from + length - 1 }));
  const places = [...cuts.map((_, i) => [i]), ...ofWindow.map((own) => own.map((i) => cuts.length + i))];
  return { prompt, ids: [...ids, ...answered], pieces: [...begun, ...pieces], ofWindow: places };
}

/** How many tokens all prompts begin with: the template's, and an expert's own prompt. */
export function sharedTokens(plans: readonly Pick<PlannedPrompt, 'ids' | 'pieces'>[]): number {
  const [first, ...rest] = plans;
  if (first === undefined) return 0;
  let shared = first.pieces[0]?.from ?? 0;
  for (const { ids, pieces } of rest) {
    shared = Math.min(shared, pieces[0]?.from ?? 0);
    for (let i = 0; i < shared; i++) if (ids[i] !== first.ids[i]) shared = i;
  }
  return shared;
}
