/** What goes to the thread of the heads and back. */
import type { Scores } from './score-with-heads.ts';

export type ScoreThreadData = { dir: string; threads: number; contextLength: number };

export type ToScores = { type: 'score'; id: number; ids: readonly number[] } | { type: 'close' };

export type FromScores =
  | { type: 'scored'; id: number; scores: Scores; digest: string }
  /** `id` null: the bundle could not be opened. No message follows. */
  | { type: 'failed'; id: number | null; message: string };
