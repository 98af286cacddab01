/**
 * Which experts an answer asks. An expert that cannot change any token is not run:
 *
 * - The safety expert runs alone if the floor is 1, or if nothing of the budget is left and nothing
 *   will be earned. The gate is closed then, whatever the other row says.
 * - In the mode `logits`, the helpfulness expert runs alone if the safety expert's share is 0 at
 *   every position and nothing is counted against it. Such an answer has no account: what it spent
 *   is unknown. In the mode `layers`, the safety expert always runs beside.
 *
 * Until the prompt has been looked at a second time, the safety expert reads it in any case.
 *
 * Everything in between runs both, also while an earned budget is used up for now, or a floor is 1
 * for the opening only. The other row must have read every token by the time it counts. Truncated
 * rows always come in pairs, because each decides which tokens the other one holds: without it, the
 * sums over them would round differently.
 */
import type { Line } from '#shared/line/line.ts';
import type { EngineRequest } from './engine.ts';
import type { Source } from './experts.ts';

export type Asking = {
  /** The safety weight that is proposed for every token; null if a router proposes them. */
  proposal: number | null;
  /** k of truncated rows, or null. */
  topK: number | null;
  /** The nats that the answer has spent so far. */
  spent?: number;
  /** Whether the prompt is still to be looked at, in the safety expert's row. */
  looks?: boolean;
  /** The expert whose rows are asked for, if nothing is drawn here. */
  only?: Source | undefined;
};

/** The sources whose predictions make up the rest of an answer under this line, in this order. */
export function sourcesOf(line: Line, { looks = false, only, ...asking }: Asking): Source[] {
  if (only !== undefined) return [only];
  const sources = drawnFrom(line, asking);
  return looks && !sources.includes('safety') ? ['safety', ...sources] : sources;
}

function drawnFrom(line: Line, { proposal, topK, spent = 0 }: Omit<Asking, 'looks' | 'only'>): Source[] {
  const { action, mode, floor } = line;
  const both: Source[] = ['safety', mode === 'layers' ? 'layers' : 'helpfulness'];
  if (action === 'safety_only') return ['safety'];
  if (topK !== null) return both;
  if (floor >= 1 || mostNats(line) - spent <= 0) return ['safety'];
  const isPinned = line.ceiling === 0 || proposal === 0;
  const isFree = hasNoFloor(line) && line.budget === null && line.earned === null;
  return mode === 'logits' && isPinned && isFree ? ['helpfulness'] : both;
}

/** What each of these sources reads before the answer, in their order. */
export function promptsOf(
  { promptIds, rowPrompts }: Pick<EngineRequest, 'promptIds' | 'rowPrompts'>,
  sources: readonly Source[],
): (readonly number[])[] {
  return sources.map((source) => rowPrompts?.[source] ?? promptIds);
}

const hasNoFloor = ({ floor, opening }: Line) => floor === 0 && (opening.tokens === 0 || opening.floor === 0);

/** The most nats that an answer of any length may spend. */
function mostNats({ budget, earned }: Line): number {
  const everEarned = earned === null || earned.rate > 0 ? Infinity : earned.start;
  return Math.min(budget ?? Infinity, everEarned);
}
