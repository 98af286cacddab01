/** Runs that learn from generated pairs of the small world, with the demo's settings. */
import { ROLE_DIMENSION } from '#training/stages/expert.ts';
import { preferenceData } from '#training/stages/preference-data.ts';
import type { Edition } from '../world/editions.ts';
import { type PairShares, shareSettings, type WorldShares } from '../world/generate.ts';
import { worldPairs } from '../world/training-data.ts';
import { DEMO } from './recipe.ts';
import type { RunSource } from './run-source.ts';

type WorldSourceOptions = {
  seed: number;
  edition: Edition;
  worldPairs: number;
  /** Only these topics of the world. The default is all of the edition. */
  topics?: readonly string[] | undefined;
  /** The shares of the pairs. The default is the world's own. */
  shares?: WorldShares;
  pairShares?: PairShares;
};

/** Of the study's constant mixtures. The demo's bundle has a router, so it needs none itself. */
const CONSTANT_WEIGHT = 0.5;

export function worldSource({
  seed,
  edition,
  worldPairs: count,
  topics,
  shares = {},
  pairShares,
}: WorldSourceOptions): RunSource {
  const pairs: RunSource['pairs'] = (dimension) => {
    const generated = worldPairs({ seed, edition, count, topics, ...shares, pairShares });
    return preferenceData({ generated, files: [], dimension });
  };
  return {
    what: `${count.toLocaleString('en-US')} generated pairs of the small world`,
    score: DEMO.score,
    expert: DEMO.expert,
    router: DEMO.router,
    served: { defaultWeight: CONSTANT_WEIGHT, routers: DEMO.parts.routers },
    pairs,
    compared: (role) => pairs(ROLE_DIMENSION[role]),
    dataSettings: {
      edition,
      worldPairs: count,
      files: [],
      ...shareSettings(shares),
      ...(topics && { topics: [...topics] }),
      ...(pairShares && { pairShares }),
    },
    finished: () => null,
  };
}
