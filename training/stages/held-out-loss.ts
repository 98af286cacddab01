/**
 * Measures a model's loss on rows that it does not train on: the weighted mean over all their
 * tokens, in nats.
 */
import type { DecoderConfig } from '#gpu-backend/model/config.ts';
import { makeBuckets, tokenFeeds } from '../data/buckets.ts';
import type { TokenRow } from '../data/encode-chat.ts';
import { buildSftGraph } from '../graphs/sft-graph.ts';
import type { Parameters } from '../optim/adamw.ts';
import { parameterFeeds } from '../run/run-step.ts';
import { trainingSessions } from '../run/training-sessions.ts';

const BUCKET_STEP = 16;
const TOKENS_PER_BATCH = 2048;

/**
 * Makes its session at the first measurement and keeps it. Leaves out rows longer than the
 * context, and counts them. Throws if no row is left.
 */
export function heldOutLoss(
  rows: readonly TokenRow[],
  {
    config,
    shapes,
    tokenizer: { padId },
    threads,
  }: {
    config: DecoderConfig;
    shapes: ReadonlyMap<string, readonly number[]>;
    tokenizer: { padId: number };
    threads: number;
  },
): { measure: (parameters: Parameters) => Promise<number>; skipped: number } {
  const { buckets, skipped } = makeBuckets(
    rows.map((row) => row.ids.length - 1),
    { step: BUCKET_STEP, maxLength: config.max_position_embeddings, tokensPerBatch: TOKENS_PER_BATCH },
  );
  if (buckets.length === 0) {
    throw new Error(
      `no dialogue is held out; left out: ${skipped} longer than the context (${config.max_position_embeddings})`,
    );
  }
  const { train: sessionOf } = trainingSessions(() => buildSftGraph(config, { shapes, withGradients: false }), {
    base: null,
    contextLength: config.max_position_embeddings,
    threads,
  });
  const measure = async (parameters: Parameters) => {
    let [sum, total] = [0, 0];
    for (const bucket of buckets) {
      const session = await sessionOf(bucket);
      for (let i = 0; i < bucket.items.length; i += bucket.rows) {
        const batch = bucket.items.slice(i, i + bucket.rows).map((item) => rows[item]!);
        const weight = batch.reduce((all, { weights }) => all + weights.reduce((a, b) => a + b, 0), 0);
        const { feeds } = tokenFeeds(batch, bucket, { normalize: true, padId });
        const { loss } = await session.run({ ...feeds, ...parameterFeeds(parameters) });
        sum += loss![0]! * weight;
        total += weight;
      }
    }
    return sum / total;
  };
  return { measure, skipped };
}
