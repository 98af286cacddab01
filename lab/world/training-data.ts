/**
 * The small world as training reads it: dialogues for the base model, pairs for the experts, and
 * what is held out of both.
 */
import type { Dialogue, Preference } from '#training/data/rows.ts';
import type { Edition } from './editions.ts';
import {
  type AnswerShares,
  generateDialogues,
  generatePairs,
  type PairShares,
  shareSettings,
  type WorldShares,
} from './generate.ts';
import { loadTopics } from './load-topics.ts';
import type { PairRow } from './rows.ts';

const HELD_OUT_DIALOGUES = 256;
const HELD_OUT_PAIRS = 600;

type WorldOptions = WorldShares & { seed: number; edition?: Edition | undefined };

/**
 * Draws `count` dialogues to train on. The model learns from every answer in them, since the world
 * composes each one alike.
 */
export function worldDialogues({
  seed,
  count,
  edition,
  answerShares,
  ...shares
}: WorldOptions & { count: number; answerShares?: AnswerShares | undefined }): Dialogue[] {
  const topics = loadTopics({ edition });
  return generateDialogues({ seed, split: 'train', count, topics, answerShares, ...shares }).map(
    ({ messages }): Dialogue => ({ messages, source: SOURCE, learns: 'every-answer' }),
  );
}

/**
 * Draws the dialogues on which a base's loss is measured, keyed by the name of the figure. The
 * unnamed set holds plain single turns whatever the shares are, so that runs can be compared. If
 * there are shares, `varied` has dialogues drawn with them.
 */
export function heldOutDialogues({ seed, edition, ...shares }: WorldOptions): Record<string, Dialogue[]> {
  const options = { seed, split: 'heldout', count: HELD_OUT_DIALOGUES, topics: loadTopics({ edition }) } as const;
  const draw = (drawn: WorldShares) =>
    generateDialogues({ ...options, ...drawn }).map(({ messages }): Dialogue => ({ messages, source: SOURCE }));
  const given = shareSettings(shares);
  return { '': draw({}), ...(Object.keys(given).length > 0 && { varied: draw(given) }) };
}

/**
 * Draws `count` pairs to train on and 600 held-out ones, or none at all if `count` is 0. The shares
 * apply to both sides. Held-out jailbreak frames appear only on the held-out side.
 */
export function worldPairs({
  seed,
  count,
  edition,
  jailbreakShare,
  multiTurnShare,
  pairShares,
  topics: only,
}: WorldOptions & {
  count: number;
  pairShares?: PairShares | undefined;
  /** Only these topics. The default is all of the edition. */
  topics?: readonly string[] | undefined;
}): {
  train: Preference[];
  heldOut: Preference[];
} {
  const topics = loadTopics({ edition }).filter(({ id }) => only?.includes(id) ?? true);
  const world = { seed, topics, jailbreakShare, multiTurnShare, pairShares };
  return {
    train: generatePairs({ ...world, split: 'train', count }).map(toPreference),
    heldOut: generatePairs({ ...world, split: 'heldout', count: count === 0 ? 0 : HELD_OUT_PAIRS }).map(toPreference),
  };
}

const SOURCE = 'plimsoll-world';

function toPreference({ prompt, response_0, response_1, better, safer, safe_0, safe_1, source }: PairRow): Preference {
  return { prompt: [...prompt], responses: [response_0, response_1], better, safer, safe: [safe_0, safe_1], source };
}
