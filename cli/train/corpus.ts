/**
 * Builds the base corpus from a command's settings: the small world, plus real conversations from
 * `--data`.
 */
import type { Edition } from '#lab/world/editions.ts';
import type { WorldShares } from '#lab/world/generate.ts';
import { worldDialogues } from '#lab/world/training-data.ts';
import { type BaseCorpus, baseCorpus } from '#training/stages/base-corpus.ts';

type CorpusSettings = WorldShares & {
  seed: number;
  edition: Edition;
  /** The number of small-world dialogues. */
  world: number;
  realShare: number;
  wordDropout: number;
};

export function corpusOf(
  { seed, edition, world: count, realShare, wordDropout, ...settings }: CorpusSettings,
  { data }: { data: string },
): Promise<BaseCorpus> {
  const { jailbreakShare, multiTurnShare, keywordShare } = settings;
  const generated = worldDialogues({ seed, edition, count, jailbreakShare, multiTurnShare, keywordShare });
  return baseCorpus({ seed, generated, realShare, wordDropout, dataDir: data });
}
