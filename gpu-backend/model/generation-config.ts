/**
 * `generation_config.json`, as Transformers saves it beside a model. We read which tokens end an
 * answer, and how answers are drawn if the client does not say. Everything else in it is ignored:
 * the format is not ours.
 */
import * as z from 'zod';
import { Sampling } from '#shared/api/sampling.ts';
import { shown } from './adapter-config.ts';
import { fileExists, GENERATION_CONFIG, readJson } from './bundle-files.ts';
import { TokenIds } from './config.ts';

/** A value that may be missing or null, as Transformers writes what nobody has set. */
const maybe = <T>(schema: z.ZodType<T>, wanted: string) =>
  z
    .unknown()
    .transform((input, context): T | undefined => {
      const parsed = schema.nullish().safeParse(input);
      if (parsed.success) return parsed.data ?? undefined;
      context.addIssue(`found ${shown(input)}, wanted ${wanted}`);
      return z.NEVER;
    })
    .optional();

const { temperature, top_p, top_k, min_p, repetition_penalty } = Sampling.shape;
const GenerationConfig = z.looseObject({
  eos_token_id: TokenIds.nullish(),
  do_sample: maybe(z.boolean(), 'true or false'),
  temperature: maybe(temperature, 'a number from 0 to 2'),
  top_p: maybe(top_p, 'a number above 0, at most 1'),
  top_k: maybe(top_k, 'a whole number of at least 0'),
  min_p: maybe(min_p, 'a number from 0 to 1'),
  repetition_penalty: maybe(repetition_penalty, 'a number above 0, at most 2'),
});
type GenerationConfig = z.infer<typeof GenerationConfig>;

/** What the file says, or null if there is none. Throws a BundleError that names the key. */
export async function readGenerationConfig(dir: string): Promise<GenerationConfig | null> {
  return (await fileExists(dir, GENERATION_CONFIG)) ? readJson(dir, GENERATION_CONFIG, GenerationConfig) : null;
}

/**
 * What it says about sampling. `do_sample: false` takes the likeliest token, whatever else is
 * there; a penalty still counts, as in Transformers. If it says nothing about `do_sample`, the
 * other keys count, as in other servers.
 */
export function samplingIn({ do_sample, ...named }: GenerationConfig): Partial<Sampling> {
  const { temperature, top_p, top_k, min_p, repetition_penalty } = named;
  const cuts = do_sample === false ? { temperature: 0 } : { temperature, top_p, top_k, min_p };
  const all = Object.entries({ ...cuts, repetition_penalty });
  return Object.fromEntries(all.filter(([, value]) => value !== undefined));
}
