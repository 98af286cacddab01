/**
 * Draws along a draft: tokens that were guessed and fed before they were drawn (speculative
 * decoding: Leviathan et al., arXiv 2211.17192). Their method accepts a guess by a rule of its own.
 * Here every position is drawn from the gate, as if it were the only one, with its own random
 * number and its own account. Drawing stops where the token is not the one that was guessed. That
 * token stays. So the answer is the same with any draft and without, up to rounding: a run of
 * several tokens sums in another order.
 */
import { GateError } from '#shared/gate/index.ts';
import type { Answer, Outputs, Predictions } from './answer.ts';
import type { EngineEvent } from './engine.ts';
import type { Output, Source } from './experts.ts';

/**
 * Draws at least one token and at most one more than the draft has. Throws as `answer.draw` does,
 * with one exception: if there is nothing safe to draw from after the first token, the tokens
 * before count, and the next step finds that again.
 *
 * @param outputs what each expert predicts, at last after the answer's last token and after each of
 *   the draft's
 */
export function drawDrafted(answer: Answer, outputs: Outputs, draft: readonly number[]): EngineEvent[] {
  const events: EngineEvent[] = [];
  for (let i = 0; i <= draft.length; i++) {
    try {
      events.push(...answer.draw(predictionsAt(i - draft.length, answer.sources, outputs)));
    } catch (thrown) {
      if (i === 0 || !(thrown instanceof GateError)) throw thrown;
      break;
    }
    if (answer.ended || answer.ids.at(-1) !== draft[i]) break;
  }
  return events;
}

/** How many of the draft's tokens are among those drawn along it. */
export function countAccepted(draft: readonly number[], events: readonly EngineEvent[]): number {
  const ids = events.flatMap((event) => (event.type === 'token' ? [event.id] : []));
  const wrong = draft.findIndex((id, i) => id !== ids[i]);
  return wrong < 0 ? draft.length : wrong;
}

/**
 * Of the sources that this token needs: one may leave in the middle of a draft.
 *
 * @param place counts from the end: 0 is the last prediction, -1 the one before it
 */
function predictionsAt(place: number, sources: readonly Source[], outputs: Outputs): Predictions {
  return Object.fromEntries(
    sources.flatMap((source) => {
      const output: Output | undefined = outputs[source];
      return output ? [[source, place === 0 ? output : output.earlier.at(place)]] : [];
    }),
  );
}
