/**
 * Builds the base corpus from a command's settings: the small world, the user's own dialogues, and
 * real conversations from `--data`.
 */
import type { Edition } from '#lab/world/editions.ts';
import type { WorldShares } from '#lab/world/generate.ts';
import { heldOutDialogues, worldDialogues } from '#lab/world/training-data.ts';
import { assertNoLeak } from '#training/data/leakage.ts';
import { fileOrigins } from '#training/data/origins.ts';
import type { Dialogue } from '#training/data/rows.ts';
import { type BaseCorpus, baseCorpus } from '#training/stages/base-corpus.ts';
import { dialogueData } from '#training/stages/dialogue-data.ts';

type CorpusSettings = WorldShares & {
  seed: number;
  edition: Edition;
  /** The number of small-world dialogues. */
  world: number;
  /** Each one is `layout:path`. */
  dialogues: string[];
  licence: string[];
  source: string[];
  heldOut: number;
  realShare: number;
  wordDropout: number;
};

export type SplitCorpus = {
  corpus: BaseCorpus;
  /** What the loss is measured on, as `sftStage` takes it. */
  heldOut: Record<string, Dialogue[]>;
  /** The settings that the files add to a run's. */
  fileSettings: Record<string, unknown>;
};

/** Throws if there is no dialogue to train on, or if one is on both sides. */
export async function corpusOf(
  {
    seed,
    edition,
    world: count,
    dialogues: files,
    licence,
    source,
    heldOut,
    realShare,
    wordDropout,
    ...shares
  }: CorpusSettings,
  { data }: { data: string },
): Promise<SplitCorpus> {
  const { jailbreakShare, multiTurnShare, keywordShare } = shares;
  const world = { seed, edition, jailbreakShare, multiTurnShare, keywordShare };
  const generated = count === 0 ? [] : worldDialogues({ ...world, count });
  const { fileRows, ...own } = await dialogueData(files, {
    origins: fileOrigins(files, { licence, source }),
    heldOutShare: heldOut,
  });
  const worldHeldOut = count === 0 ? {} : heldOutDialogues(world);
  const asPrompts = (dialogues: readonly Dialogue[]) =>
    dialogues.map(({ messages, source: from }) => ({ prompt: messages, source: from }));
  assertNoLeak(asPrompts(own.train), asPrompts([...own.heldOut, ...Object.values(worldHeldOut).flat()]));
  const rest = await baseCorpus({ seed, generated, realShare, wordDropout, dataDir: data });
  const corpus = { ...rest, dialogues: [...rest.dialogues, ...own.train] };
  if (corpus.dialogues.length === 0) {
    throw new Error(
      `there are no dialogues to train on: --world is 0 and ${files.length === 0 ? 'there are no --dialogues' : 'all --dialogues are held out'}`,
    );
  }
  return {
    corpus,
    heldOut: { ...worldHeldOut, ...(own.heldOut.length > 0 && { [count === 0 ? '' : 'own']: own.heldOut }) },
    // Without files these have no effect, and older runs go on without them.
    fileSettings: files.length > 0 ? { dialogues: files, heldOutShare: heldOut, fileRows } : {},
  };
}
