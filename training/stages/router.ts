/**
 * Stage `router`: learns from D_dual how much of each frozen expert a token gets
 * (`graphs/router-graph.ts`). There are two kinds: `layers` is MidPO's own router, and `logits` is
 * served in the same form in which it is trained.
 */
import * as z from 'zod';
import { type Feed, float32 } from '#gpu-backend/graph/session.ts';
import { BackendMode } from '#shared/line/line.ts';
import { tokenFeeds } from '../data/buckets.ts';
import type { TokenRow } from '../data/encode-chat.ts';
import { createRandom } from '../data/random.ts';
import { buildScoreGraph } from '../graphs/dpo-graph.ts';
import { loraShapes } from '../graphs/lora.ts';
import {
  assertRoutable,
  buildRoutedScoreGraph,
  buildRouterGraph,
  type RouterKind,
  routerShapes,
  type Variant,
} from '../graphs/router-graph.ts';
import type { BatchShape } from '../graphs/training-inputs.ts';
import type { Parameters } from '../optim/adamw.ts';
import { keptFolder } from '../run/kept-numbers.ts';
import { trainingSessions } from '../run/training-sessions.ts';
import { emptyTensors } from './base-model.ts';
import type { ExpertWeights } from './expert-weights.ts';
import { batchRows, logprobsOfPairs, pairedScores } from './pair-set.ts';
import { heldOutFigures, preferenceFigures } from './preference-figures.ts';
import { fillNormal } from './sft.ts';
import { type PairStageOptions, trainPairs } from './train-pairs.ts';

export const ROUTER_FILE = 'router.json';
export const RouterJson = z.strictObject({
  kind: BackendMode,
  variant: z.enum(['faithful', 'corrected']),
  /** Units of the hidden layer, which only `logits` has. */
  width: z.int().min(1),
});
type RouterJson = z.infer<typeof RouterJson>;

/** `train` and `heldOut` are D_dual, where `better` is the winner. */
export type RouterOptions = PairStageOptions & {
  kind: RouterKind;
  variant: Variant;
  width: number;
  beta: number;
  /** The weight of mean |alpha| + mean |beta - 1|. */
  lambda: number;
  safety: ExpertWeights;
  helpfulness: ExpertWeights;
};

export async function routerStage(options: RouterOptions): Promise<void> {
  const { kind, variant, width, beta, lambda, base, safety, helpfulness, seed, tokenizer, threads } = options;
  const { config } = base;
  const { padId } = tokenizer;
  if (safety.rank !== helpfulness.rank || safety.alpha !== helpfulness.alpha) {
    throw new Error(
      `a router needs experts of one rank and alpha: found r ${safety.rank}, alpha ${safety.alpha} and r ${helpfulness.rank}, alpha ${helpfulness.alpha}`,
    );
  }
  assertRoutable(kind, { safety: safety.modules, helpfulness: helpfulness.modules });
  const parameters = initialRouter(routerShapes(config, { kind, width }), `${seed}/router/${kind}`);
  const builtOn = [...(options.builtOn ?? []), safety.dir, helpfulness.dir];
  const pairOptions = { ...options, builtOn };
  await trainPairs(pairOptions, {
    label: `router ${kind}`,
    order: `router/${kind}`,
    encoding: { dimension: 'better', feeds: 'predictions', dropFirstDifference: variant === 'faithful' },
    parameters,
    settings: {
      ...{ kind, variant, width, beta, lambda },
      parents: { safety: safety.digest, helpfulness: helpfulness.digest },
    },
    files: { [ROUTER_FILE]: { kind, variant, width } satisfies RouterJson },
    prepare: async ({ train, seen, heldOut }) => {
      const { rank } = safety;
      const frozen = base.frozen;
      const open = (build: () => Uint8Array) =>
        trainingSessions(build, { base: frozen, contextLength: config.max_position_embeddings, threads });
      const trueScale = safety.alpha / rank;
      const experts = {
        base: frozen,
        safety: safety.modules,
        helpfulness: helpfulness.modules,
        rank,
        kind,
        width,
      };
      const loraScale = variant === 'faithful' ? 1 : trueScale;
      const bare = open(() => buildScoreGraph(config, { base: frozen, rank, loraScale: 1 }));
      const keep = { folder: keptFolder(options.out), base: base.digest, adapter: 'none' };
      const untrained = { session: bare.score, padId, parameters: emptyTensors(loraShapes(config, rank)), keep };
      const reference = await logprobsOfPairs(seen, { ...untrained, label: `router ${kind}: reference` });
      const heldOutReference = await logprobsOfPairs(heldOut, {
        ...untrained,
        label: `router ${kind}: held-out reference`,
      });
      await bare.release();
      const trainer = open(() =>
        buildRouterGraph(config, { ...experts, variant, loraScale, beta, lambda, scoresToo: true }),
      );
      // We measure what will be served, so we use the experts' own scale in both variants.
      const { score: session } =
        loraScale === trueScale
          ? trainer
          : open(() => buildRoutedScoreGraph(config, { ...experts, loraScale: trueScale }));
      return {
        batch: async (items, shape) => {
          const rows = batchRows(train.pairs, items);
          const { feeds, tokens } = tokenFeeds(rows, shape, { normalize: false, padId });
          const router = await trainer.train(shape);
          return {
            feeds: {
              ...feeds,
              reference: float32([shape.rows], pairedScores(reference, items)),
              margin: float32([items.length], new Float32Array(items.length)),
              regulariser_weights: countedTokens(rows, { shape, variant }),
            },
            tokens,
            run: router.run,
          };
        },
        figures: ({ delta, dpo, regulariser }) => ({
          dpo: dpo![0]!,
          regulariser: regulariser![0]!,
          ...preferenceFigures(delta!, beta),
        }),
        evaluate: async () => {
          const now = await logprobsOfPairs(heldOut, { session, padId, parameters, label: null });
          return heldOutFigures(now, { reference: heldOutReference, beta });
        },
      };
    },
  });
}

/**
 * The weights of positions in the regulariser's mean, `[2N, T]`, which sum to 1. `faithful` counts
 * every position, as published. `corrected` counts the answers' tokens.
 */
function countedTokens(rows: readonly TokenRow[], { shape, variant }: { shape: BatchShape; variant: Variant }): Feed {
  const { rows: count, length } = shape;
  const counted = new Float32Array(count * length).fill(variant === 'faithful' ? 1 : 0);
  if (variant === 'corrected') rows.forEach(({ weights }, row) => void counted.set(weights, row * length));
  const total = counted.reduce((a, b) => a + b, 0);
  return float32(
    [count, length],
    counted.map((weight) => weight / total),
  );
}

/**
 * Every gate starts at one half, because its weights are 0. The units of a hidden layer must start
 * out different, or they would stay identical.
 */
function initialRouter(shapes: ReadonlyMap<string, number[]>, seed: string): Parameters {
  const parameters = emptyTensors(shapes);
  const hidden = parameters.get('router.hidden.weight');
  if (hidden) fillNormal(hidden.data, 1 / Math.sqrt(hidden.shape[0]!), createRandom(seed));
  return parameters;
}
