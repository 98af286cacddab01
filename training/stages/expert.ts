/**
 * Stage `expert`: trains one LoRA expert on the frozen base by direct preference optimisation. It
 * uses one dimension of the preferences: `safer` for the safety expert, `better` for the
 * helpfulness expert (MidPO, arXiv 2506.02460, section 3.1). It works with or without a margin from
 * a reward or cost model.
 */
import { float32 } from '#gpu-backend/graph/session.ts';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { tokenFeeds } from '../data/buckets.ts';
import type { Dimension } from '../data/preferences.ts';
import { createRandom } from '../data/random.ts';
import { buildDpoGraph } from '../graphs/dpo-graph.ts';
import { DEFAULT_TARGETS, loraShapes, loraTensors, readTargets, type Targets } from '../graphs/lora.ts';
import { buildExpertNextToken } from '../graphs/next-token-graph.ts';
import type { Variant } from '../graphs/router-graph.ts';
import type { Parameters } from '../optim/adamw.ts';
import { keptFolder } from '../run/kept-numbers.ts';
import { trainingSessions } from '../run/training-sessions.ts';
import { ADAPTER_FILE, type AdapterJson, type ExpertWeights } from './expert-weights.ts';
import type { MarginModel } from './margin-model.ts';
import { adapterName, batchRows, logprobsOfPairs, type PairSet, pairedScores } from './pair-set.ts';
import { heldOutFigures, preferenceFigures } from './preference-figures.ts';
import { sampleAnswers, samplePrompts } from './sample-answers.ts';
import { fillNormal } from './sft.ts';
import { type PairStageOptions, trainPairs } from './train-pairs.ts';

export const ROLE_DIMENSION: Record<ExpertRole, Dimension> = { safety: 'safer', helpfulness: 'better' };

export type ExpertOptions = PairStageOptions & {
  role: ExpertRole;
  rank: number;
  /** The LoRA's output is scaled by alpha / rank, both in training and in serving. */
  alpha: number;
  /** The modules that get LoRA, such as `q_proj`; `mlp.down_proj` alone by default. */
  targets?: Targets;
  beta: number;
  /** How much the chosen answers' own likelihood counts besides the preference. 0 is plain DPO. */
  nllWeight: number;
  /**
   * `faithful` leaves the first differing token out of the log-probabilities, as MidPO's published
   * code does.
   */
  variant: Variant;
  /** Gives the margin that a pair's log-ratio must exceed. Null is plain DPO. */
  margin: MarginModel | null;
  /**
   * A trained expert to start from and to use as the reference. This trains one preference after
   * the other, as in SACPO (arXiv 2404.11049). Its rank, alpha and targets must be this run's.
   * Null: the base.
   */
  from: ({ name: string } & Omit<ExpertWeights, 'role' | 'dir'>) | null;
};

export async function expertStage(options: ExpertOptions): Promise<void> {
  const { role, base, rank, alpha, beta, nllWeight, variant, margin, from, seed, tokenizer, threads } = options;
  const { config } = base;
  const { padId } = tokenizer;
  const targets = readTargets(options.targets ?? DEFAULT_TARGETS, config);
  if (from) assertGoesOn(from, { rank, alpha, targets });
  const shapes = loraShapes(config, rank, targets);
  const start = () => (from ? copyLora(from, { shapes, config }) : initialLora(shapes, null));
  const parameters = from ? start() : initialLora(shapes, createRandom(`${seed}/${role}/lora`));
  const builtOn = [...(margin ? [margin.run.dir] : []), ...(from ? [from.name] : [])];
  const pairOptions = { ...options, builtOn };
  await trainPairs(pairOptions, {
    label: role,
    order: role,
    encoding: {
      dimension: ROLE_DIMENSION[role],
      feeds: 'predictions',
      dropFirstDifference: variant === 'faithful',
    },
    parameters,
    settings: {
      role,
      rank,
      alpha,
      targets,
      beta,
      nllWeight,
      variant,
      margin: margin && { model: margin.name, rule: margin.rule, scale: margin.scale },
      ...(from && { from: from.name }),
      ...((margin || from) && {
        parents: { ...(margin && { margin: margin.run.digest }), ...(from && { from: from.digest }) },
      }),
    },
    files: { [ADAPTER_FILE]: { role, rank, alpha, targets } satisfies AdapterJson },
    prepare: async ({ train, seen, heldOut }) => {
      const folder = keptFolder(options.out);
      // Before there is another session.
      const margins = margin && (await marginsOf(seen, margin, { label: `${role}: margins`, folder }));
      const graphOptions = { base: base.frozen, rank, loraScale: alpha / rank, targets };
      const { train: trainer, score: session } = trainingSessions(
        () => buildDpoGraph(config, { ...graphOptions, beta, nllWeight, scoresToo: true }),
        { base: graphOptions.base, contextLength: config.max_position_embeddings, threads },
      );
      const adapter = from ? adapterName(from) : 'none';
      const keep = { folder, base: base.digest, adapter };
      const untrained = { session, padId, parameters: start(), keep };
      const reference = await logprobsOfPairs(seen, { ...untrained, label: `${role}: reference` });
      const heldOutReference = await logprobsOfPairs(heldOut, { ...untrained, label: `${role}: held-out reference` });
      const answering = trainingSessions(() => buildExpertNextToken(config, graphOptions), {
        base: graphOptions.base,
        contextLength: config.max_position_embeddings,
        threads,
      });
      const asked = heldOut.pairs.map(({ preference }) => preference.prompt);
      const prompts = samplePrompts(options.samples ?? { count: 0 }, asked, tokenizer);
      return {
        batch: async (items, shape) => {
          const { feeds, tokens } = tokenFeeds(batchRows(train.pairs, items), shape, { normalize: false, padId });
          const dpo = await trainer(shape);
          const ahead = Float32Array.from(items, (item) => margins?.get(item) ?? 0);
          return {
            feeds: {
              ...feeds,
              reference: float32([shape.rows], pairedScores(reference, items)),
              margin: float32([items.length], ahead),
            },
            tokens,
            run: dpo.run,
          };
        },
        figures: ({ delta, dpo, nll }) => ({ dpo: dpo![0]!, nll: nll![0]!, ...preferenceFigures(delta!, beta) }),
        evaluate: async () => {
          const now = await logprobsOfPairs(heldOut, { session, padId, parameters, label: null });
          return heldOutFigures(now, { reference: heldOutReference, beta });
        },
        sample: async () => {
          const answers = await sampleAnswers(prompts, { config, tokenizer, session: answering.train, parameters });
          // It packs the base once more, which training has better use for.
          await answering.release();
          return answers;
        },
      };
    },
  });
}

/** Margins by the set's items. */
async function marginsOf(
  { pairs, buckets }: PairSet,
  margin: MarginModel,
  options: { label: string; folder: string },
): Promise<Map<number, number>> {
  const items = buckets.flatMap((bucket) => bucket.items).sort((a, b) => a - b);
  const found = await margin.of(
    items.map((item) => pairs[item]!),
    options,
  );
  return new Map([...found].map(([at, value]) => [items[at]!, value]));
}

/**
 * A is normal, with the same deviation as PEFT's uniform distribution. B is zero, so the expert
 * starts as the base.
 */
export function initialLora(
  shapes: ReadonlyMap<string, number[]>,
  random: ReturnType<typeof createRandom> | null,
): Parameters {
  return new Map(
    [...shapes].map(([name, shape]) => {
      const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
      if (random && name.endsWith('.a')) fillNormal(data, 1 / Math.sqrt(3 * shape[0]!), random);
      return [name, { shape, data }];
    }),
  );
}

/** With another scale or on other modules, an expert's tensors would be another model. */
function assertGoesOn(
  from: NonNullable<ExpertOptions['from']>,
  run: { rank: number; alpha: number; targets: Targets },
): void {
  for (const key of ['rank', 'alpha', 'targets'] as const) {
    const [found, wanted] = [String(from[key]), String(run[key])];
    if (found === wanted) continue;
    throw new Error(
      `${from.name}: found an expert of ${key} ${found}, this run has ${wanted}: ` +
        `give --${key} ${found.replaceAll(',', ' ')}, since a run goes on with the expert as it is`,
    );
  }
}

function copyLora(
  { name, modules }: NonNullable<ExpertOptions['from']>,
  { shapes, config }: { shapes: ReadonlyMap<string, number[]>; config: DecoderConfig },
): Parameters {
  const found = loraTensors(modules, config);
  return new Map(
    [...shapes].map(([tensor, shape]) => {
      const from = found.get(tensor);
      if (from?.shape.join() !== shape.join()) {
        throw new Error(`${name}: ${tensor}: found [${from?.shape.join(', ') ?? ''}], wanted [${shape.join(', ')}]`);
      }
      return [tensor, { shape, data: Float32Array.from(from.data) }];
    }),
  );
}
