/** The batch shapes in which the training bench trains on SmolLM2. */
import * as z from 'zod';

/** DPO needs pairs, so rows are even. */
export const TrainingBucket = z.strictObject({
  rows: z.int().min(2).multipleOf(2),
  length: z.int().min(2),
});
export type TrainingBucket = z.infer<typeof TrainingBucket>;

/** One pair of long rows first. Then shorter rows: about as many tokens a batch, and fewer. */
export const DEFAULT_BUCKETS = '2x256,2x192,4x128,8x64,2x128,2x64';

/** Reads a list such as `2x256,4x128`. The further ones show what one more costs. */
export function parseBuckets(list: string): TrainingBucket[] {
  const buckets = list.split(',').map((text) => {
    const [, rows, length] = /^(\d+)x(\d+)$/.exec(text) ?? [];
    const parsed = TrainingBucket.safeParse({ rows: Number(rows), length: Number(length) });
    if (!parsed.success) {
      throw new Error(`--buckets: "${text}" is no ROWSxLENGTH, as in 2x256, with an even number of rows`);
    }
    return parsed.data;
  });
  const names = buckets.map(bucketName);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw new Error(`--buckets: found ${twice} twice, wanted each bucket once`);
  if (buckets.length < 2) throw new Error('--buckets: found one, wanted two or more: what does a further one cost?');
  return buckets;
}

export const bucketName = ({ rows, length }: TrainingBucket) => `${rows} x ${length}`;
