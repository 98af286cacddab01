/**
 * Collects the pairs for a command's settings: from the small world and from the `--pairs` files.
 */
import type { Edition } from '#lab/world/editions.ts';
import { shareSettings, type WorldShares } from '#lab/world/generate.ts';
import { worldPairs } from '#lab/world/training-data.ts';
import { fileOrigins } from '#training/data/origins.ts';
import type { Dimension } from '#training/data/preferences.ts';
import { preferenceData, type SplitPairs } from '#training/stages/preference-data.ts';

type PairSettings = WorldShares & {
  seed: number;
  edition: Edition;
  worldPairs: number;
  /** Each one is `layout:path`. */
  pairs: string[];
  licence: string[];
  source: string[];
  heldOut: number;
};

/** Also returns the settings that decided the pairs, which a checkpoint keeps. */
export async function pairsOf(
  { seed, edition, worldPairs: count, pairs: files, licence, source, heldOut: heldOutShare, ...settings }: PairSettings,
  dimension: Dimension,
): Promise<{ pairs: SplitPairs; dataSettings: Record<string, unknown> }> {
  const { jailbreakShare, multiTurnShare } = settings;
  const generated = worldPairs({ seed, edition, count, jailbreakShare, multiTurnShare });
  const { fileRows, ...pairs } = await preferenceData({
    generated,
    files,
    dimension,
    heldOutShare,
    origins: fileOrigins(files, { licence, source }),
  });
  return {
    pairs,
    dataSettings: {
      edition,
      worldPairs: count,
      files,
      // Without files this share has no effect.
      ...(files.length > 0 && { heldOutShare, fileRows }),
      ...shareSettings({ jailbreakShare, multiTurnShare }),
    },
  };
}
