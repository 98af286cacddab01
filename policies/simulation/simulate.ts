/**
 * Answers prompts under two versions of a tenant's policy, prompt by prompt, and asks the model's
 * heads about the answers. There is no job at the edge that could be lost: whoever keeps what is
 * done can go on from it.
 */
import { type AskSettings, askEdge, type EdgePost, scoreAt } from './ask-edge.ts';
import type { Judges } from './judges.ts';
import type { Compared, Outcome } from './outcome.ts';
import type { Messages } from './read-prompts.ts';

export type Simulation = {
  prompts: readonly Messages[];
  versions: { before: string; after: string };
  edge: EdgePost;
  settings: AskSettings;
  /** null: nobody asks the heads. */
  judges: Judges | null;
  /** What is done already, by the prompt's index. */
  done: ReadonlyMap<number, Compared>;
  /** Gets each prompt's outcomes as they come, and is waited for. */
  keep: (compared: Compared) => Promise<void> | void;
  signal: AbortSignal;
};

/** Whether something is still to be asked for: it is not there, has failed, or lacks its scores. */
export function isMissing(compared: Compared | undefined): boolean {
  return compared === undefined || [compared.before, compared.after].some(lacks);
}
const lacks = ({ kind, unscored }: Outcome) => kind === 'failed' || unscored !== null;

/** Throws the signal's reason if it is aborted, and where no other prompt could be answered. */
export async function simulate({ prompts, versions, judges, done, keep, ...asking }: Simulation): Promise<void> {
  const outcomeOf = async (version: string, messages: Messages, before: Outcome | undefined): Promise<Outcome> => {
    const isThere = before !== undefined && before.kind !== 'failed';
    const outcome = isThere ? before : await askEdge({ version, messages }, asking);
    const isJudged = outcome.scores !== null || (isThere && outcome.unscored === null);
    if (judges === null || isJudged || judges.areNone || outcome.kind !== 'answered') return outcome;
    const found = await scoreAt({ messages, answer: outcome.text }, asking);
    judges.accept(found === null ? null : found.scores?.bundle);
    return { ...outcome, ...found };
  };
  try {
    for (const [index, messages] of prompts.entries()) {
      const there = done.get(index);
      if (!isMissing(there)) continue;
      asking.signal.throwIfAborted();
      const [before, after] = await Promise.all([
        outcomeOf(versions.before, messages, there?.before),
        outcomeOf(versions.after, messages, there?.after),
      ]);
      await keep({ index, before, after });
    }
  } catch (thrown) {
    throw asking.signal.aborted ? asking.signal.reason : thrown;
  }
}
