/**
 * What the sequences of an answer have to read: their prompts, then the tokens drawn so far, under
 * the bounds of the positions that they were drawn at. And what of that later requests may find
 * again.
 */
import { effectiveFloor, type GatePolicy } from '#shared/gate/index.ts';
import type { EngineRequest } from './engine.ts';
import type { Prefix, Source, Step, WeightBounds } from './experts.ts';
import { promptsOf } from './needed-sources.ts';

/**
 * Tokens to feed to the sequences of an answer's sources, what they are, and the bounds under which
 * a layers sequence reads them.
 */
export type Feed = {
  rows: Partial<Readonly<Record<Source, readonly number[]>>>;
  reads: NonNullable<Step['reads']>;
  bounds: WeightBounds;
  /** Guesses at the tokens to come, for every sequence to read after its own. */
  draft?: readonly number[];
};

/** An answer, as far as it decides what is read. */
export type ReadAnswer = {
  request: Pick<EngineRequest, 'promptIds' | 'rowPrompts'>;
  sources: readonly Source[];
  /** The tokens drawn so far. */
  ids: readonly number[];
  policy: GatePolicy;
};

/**
 * Everything that new sequences must be fed before the next token: their prompts, then the tokens
 * drawn so far. Those have two parts if a layers sequence read the opening under the opening's own
 * bounds. No part is empty.
 *
 * @param apart each source's prompt is a feed of its own, in the sources' order
 */
export function historyOf(answer: ReadAnswer, { apart }: { apart: boolean }): Feed[] {
  const { request, sources, ids, policy } = answer;
  const position = ids.length;
  // A token is fed under the bounds of the token drawn after it, so the opening's last token is not
  // read under the opening's bounds.
  const opening = Math.min(position, Math.max(0, policy.opening.tokens - 1));
  const cut = sources.includes('layers') ? opening : position;
  const prompts = promptsOf(request, sources);
  const rows = sources.map((source, i) => [source, prompts[i]!] as const);
  const together = apart ? rows.map((row) => [row]) : [rows];
  return [
    ...together.map((own): Feed => {
      return { rows: Object.fromEntries(own), reads: 'prompt', bounds: boundsAt(policy, 0) };
    }),
    ...(cut > 0 ? [inEveryRow(answer, ids.slice(0, cut), 0)] : []),
    ...(cut < position ? [inEveryRow(answer, ids.slice(cut), position)] : []),
  ];
}

/** The last token, for sequences that have read everything before it; and a draft, if any. */
export function nextOf(answer: ReadAnswer, draft: readonly number[]): Feed {
  const feed = inEveryRow(answer, answer.ids.slice(-1), answer.ids.length);
  return draft.length === 0 ? feed : { ...feed, draft };
}

/**
 * What a source's sequence has read if only the last `missing` tokens of prompt and answer are
 * missing. Of a layers sequence, only what it has read under the bounds of its prompt.
 */
export function prefixOf(
  { request, ids, policy }: ReadAnswer,
  { source, missing }: { source: Source; missing: number },
): Omit<Prefix, 'scope'> {
  const [prompt] = promptsOf(request, [source]) as [readonly number[]];
  const read = Math.max(0, ids.length - missing);
  const [bounds, later] = [boundsAt(policy, 0), boundsAt(policy, read)];
  const isAlike = source !== 'layers' || later.floor === bounds.floor;
  const answered = isAlike ? read : Math.max(0, policy.opening.tokens - 1);
  const length = prompt.length + ids.length - missing;
  return {
    ids: [...prompt, ...ids.slice(0, answered)].slice(0, length),
    promptTokens: prompt.length,
    ...(source === 'layers' && { bounds }),
  };
}

function inEveryRow({ sources, policy }: ReadAnswer, ids: readonly number[], position: number): Feed {
  const rows = Object.fromEntries(sources.map((source) => [source, ids]));
  return { rows, reads: 'answer', bounds: boundsAt(policy, position) };
}

function boundsAt(policy: GatePolicy, position: number): WeightBounds {
  const floor = effectiveFloor(policy, { position });
  return { floor, ceiling: Math.max(floor, policy.ceiling) };
}
