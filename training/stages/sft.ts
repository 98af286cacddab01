/** Stage `sft`: trains the base model from scratch, by next-token cross-entropy on dialogues. */
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import type { Message } from '#shared/protocol/generate.ts';
import { makeBuckets, planBatches, tokenFeeds } from '../data/buckets.ts';
import { digestOfRows } from '../data/digest-of-rows.ts';
import { encodeChat, type LossWeights, type TokenRow } from '../data/encode-chat.ts';
import { type DataSource, sourcesOf, withInherited } from '../data/origins.ts';
import { createRandom, type Random } from '../data/random.ts';
import type { Dialogue } from '../data/rows.ts';
import { buildBaseNextToken } from '../graphs/next-token-graph.ts';
import { buildSftGraph } from '../graphs/sft-graph.ts';
import type { Parameters } from '../optim/adamw.ts';
import { type Pace, paceSettings, scheduleBefore, scheduleOf } from '../run/extent.ts';
import { type RunOptions, runTraining } from '../run/loop.ts';
import { trainingSessions } from '../run/training-sessions.ts';
import type { TrainingTokenizer } from '../tokenizer/chat-files.ts';
import type { BaseCorpus } from './base-corpus.ts';
import { kernelShapes } from './base-model.ts';
import { heldOutLoss } from './held-out-loss.ts';
import { type SampleOptions, sampleAnswers, samplePrompts } from './sample-answers.ts';
import { SOURCES_FILE } from './sources-file.ts';

export type SftOptions = Pace & {
  out: string;
  resume: boolean;
  /** See `RunOptions`. */
  force?: boolean | undefined;
  seed: number;
  config: DecoderConfig;
  /**
   * The weights to start from, such as another run's, with a name and a digest for the settings.
   * They are trained in place, so that there is no second copy of them. Null: from scratch.
   */
  from: {
    name: string;
    weights: Parameters;
    digest: string;
    /** What they come from. */
    sources?: readonly DataSource[];
  } | null;
  tokenizer: TrainingTokenizer;
  corpus: BaseCorpus;
  /**
   * The dialogues on which to measure the loss, by name. The figure is called `heldOutLoss.<name>`,
   * or `heldOutLoss` for the name ''.
   */
  heldOut: Readonly<Record<string, readonly Dialogue[]>>;
  /** The settings that determined the corpus. The checkpoint keeps them. */
  corpusSettings: Record<string, unknown>;
  tokensPerBatch: number;
  /** The weight of a prompt token. An answer token has weight 1. */
  promptWeight: number;
  /**
   * How many of an answer's first tokens count more, and how much. They are few, but they decide
   * the answer's topic.
   */
  opening: { tokens: number; weight: number };
  threads: number;
  checkpointEverySeconds?: number;
  /** Steps between evaluations; 0 is the loop's default. */
  evalEvery?: number | undefined;
  /** See `RunOptions`. */
  keep?: RunOptions['keep'];
  samples?: SampleOptions | undefined;
};

/** The bucket width. At most 15 tokens of a row are padding. */
const BUCKET_STEP = 16;
const WARMUP_STEPS = 100;

export async function sftStage(options: SftOptions): Promise<void> {
  const { config, tokenizer, seed, out, threads } = options;
  const shapes = kernelShapes(config);
  if (options.from) assertShapes(options.from, shapes);
  const parameters = options.from?.weights ?? initialWeights(config, shapes, createRandom(`${seed}/weights`));

  const encode = (
    { messages, learns }: Pick<Dialogue, 'learns'> & { messages: readonly Message[] },
    weights: LossWeights,
  ): TokenRow =>
    encodeChat({ prompt: messages.slice(0, -1), answer: messages.at(-1)!.content }, tokenizer, {
      ...weights,
      everyAnswer: learns === 'every-answer',
    });
  const rows = options.corpus.dialogues.map((dialogue) => encode(dialogue, options));
  const bucketOptions = {
    step: BUCKET_STEP,
    maxLength: config.max_position_embeddings,
    tokensPerBatch: options.tokensPerBatch,
  };
  const { buckets, skipped } = makeBuckets(
    rows.map((row) => row.ids.length - 1),
    bucketOptions,
  );
  const plan = planBatches(buckets, { seed: `${seed}/sft` });
  // Here only the answer's tokens count, all with the same weight, so that runs can be compared.
  const heldOut = Object.entries(options.heldOut).map(([name, dialogues]) => {
    const rows = dialogues.map((dialogue) => encode(dialogue, {}));
    const { measure, skipped } = heldOutLoss(rows, { ...options, shapes });
    return { name: name === '' ? 'heldOutLoss' : `heldOutLoss.${name}`, measure, rows: rows.length - skipped, skipped };
  });
  const counted = ({ rows, skipped }: { rows: number; skipped: number }) =>
    `${rows} dialogues (${skipped} longer than the context left out)`;
  process.stderr.write(
    `sft: ${counted({ rows: rows.length - skipped, skipped })}, ${plan.perEpoch} batches an epoch, ` +
      `${[...parameters.values()].reduce((sum, { data }) => sum + data.length, 0)} weights; ` +
      `${heldOut.map((set) => `${set.name}: ${counted(set)}`).join(', ')}\n`,
  );

  const { train: session } = trainingSessions(() => buildSftGraph(config, { shapes }), {
    base: null,
    contextLength: config.max_position_embeddings,
    threads,
  });

  const { train: answering } = trainingSessions(() => buildBaseNextToken(config, { shapes }), {
    base: null,
    contextLength: config.max_position_embeddings,
    threads,
  });
  const asked = Object.values(options.heldOut)
    .flat()
    .map(({ messages }) => messages.slice(0, -1));
  const prompts = samplePrompts(options.samples ?? { count: 0 }, asked, tokenizer);
  const pacing = { perEpoch: plan.perEpoch, warmup: () => WARMUP_STEPS };
  await runTraining({
    label: 'sft',
    dir: out,
    resume: options.resume,
    force: options.force,
    checkpointEverySeconds: options.checkpointEverySeconds,
    parameters,
    schedule: scheduleOf(options, pacing),
    scheduleBefore: (settings) => scheduleBefore(settings, options, pacing),
    adamw: { weightDecay: 0.05 },
    settings: {
      seed,
      from: options.from?.name ?? null,
      ...paceSettings(options),
      tokensPerBatch: options.tokensPerBatch,
      promptWeight: options.promptWeight,
      ...(options.opening.tokens > 0 && { opening: options.opening }),
      config,
      tokenizer: tokenizer.digest,
      data: { 'to train on': digestOfRows(options.corpus.dialogues), ...heldOutDigests(options.heldOut) },
      ...(options.from && { parents: { from: options.from.digest } }),
      ...options.corpusSettings,
    },
    files: {
      [BUNDLE_FILES.config]: config,
      [SOURCES_FILE]: { sources: withInherited(sourcesOf(options.corpus.dialogues), options.from?.sources ?? []) },
    },
    accumulate: options.accumulate,
    evaluateEvery: options.evalEvery || undefined,
    keep: options.keep,
    sample: () => sampleAnswers(prompts, { config, tokenizer, session: answering, parameters }),
    batchAt: async (number) => {
      const { bucket, items } = plan.at(number);
      const shape = buckets[bucket]!;
      const trainer = await session(shape);
      return {
        ...tokenFeeds(
          items.map((item) => rows[item]!),
          shape,
          { normalize: true, padId: tokenizer.padId },
        ),
        run: trainer.run,
        weight: items.reduce((sum, item) => sum + rows[item]!.weights.reduce((a, b) => a + b, 0), 0),
        label: `${shape.rows} rows of ${shape.length} tokens, dialogues ${items.slice(0, 4).join(', ')}...`,
      };
    },
    evaluate: async () => {
      const figures: Record<string, number> = {};
      for (const { name, measure } of heldOut) figures[name] = await measure(parameters);
      return figures;
    },
  });
}

function assertShapes(
  { name, weights }: NonNullable<SftOptions['from']>,
  shapes: ReadonlyMap<string, readonly number[]>,
): void {
  for (const [tensor, wanted] of shapes) {
    const found = weights.get(tensor)?.shape;
    if (found?.join() === wanted.join()) continue;
    const shape = found ? `[${found.join(', ')}]` : 'nothing';
    throw new Error(`${name}: tensor ${tensor}: found ${shape}, this model wants [${wanted.join(', ')}]`);
  }
}

function heldOutDigests(heldOut: SftOptions['heldOut']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(heldOut).map(([name, dialogues]) => [
      name === '' ? 'held out' : `held out, ${name}`,
      digestOfRows(dialogues),
    ]),
  );
}

/**
 * Draws normal weights with deviation 0.02. Projections back into the residual stream get a smaller
 * deviation, depending on the number of layers (GPT-2's rule). Norm weights are 1, biases 0.
 */
export function initialWeights(
  config: DecoderConfig,
  shapes: ReadonlyMap<string, number[]>,
  random: Random,
): Parameters {
  const residual = 0.02 / Math.sqrt(2 * config.num_hidden_layers);
  return new Map(
    [...shapes].map(([name, shape]) => {
      const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
      if (name.includes('norm')) data.fill(1);
      else if (!name.endsWith('.bias')) fillNormal(data, /o_proj|down_proj/.test(name) ? residual : 0.02, random);
      return [name, { shape, data }];
    }),
  );
}

/** The Box-Muller transform, on pairs of uniform numbers. */
export function fillNormal(data: Float32Array, deviation: number, random: Random): void {
  for (let i = 0; i < data.length; i += 2) {
    const radius = deviation * Math.sqrt(-2 * Math.log(1 - random.next()));
    const angle = 2 * Math.PI * random.next();
    data[i] = radius * Math.cos(angle);
    if (i + 1 < data.length) data[i + 1] = radius * Math.sin(angle);
  }
}
