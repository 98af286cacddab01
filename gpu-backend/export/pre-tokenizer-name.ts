/**
 * llama.cpp's name for how a byte-level BPE cuts a text. A GGUF file holds the name and not the
 * rule, so only a rule that has a name there can be written.
 */
import * as z from 'zod';
import { PRE_TOKENIZERS } from '#gpu-backend/import/gguf-pre-tokenizers.ts';

/** Defaults are those of Hugging Face's library. What only moves offsets is left out. */
const Cut: z.ZodType<unknown> = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('ByteLevel'),
    add_prefix_space: z.boolean().default(true),
    use_regex: z.boolean().default(true),
  }),
  z.object({ type: z.literal('Digits'), individual_digits: z.boolean().default(false) }),
  z.object({
    type: z.literal('Split'),
    pattern: z.union([z.strictObject({ Regex: z.string() }), z.strictObject({ String: z.string() })]),
    behavior: z.string(),
    invert: z.boolean().default(false),
  }),
  z.object({ type: z.literal('Sequence'), pretokenizers: z.array(z.lazy(() => Cut)) }),
]);

const Normalizer = z.union([
  z.null(),
  z.object({ type: z.literal('NFC') }),
  z.object({ type: z.literal('Sequence'), normalizers: z.tuple([]) }).transform(() => null),
]);

export type Cutting = { preTokenizer: unknown; normalizer: unknown; ignoreMerges: boolean };

/** undefined if llama.cpp has no name for it. */
export function preTokenizerName(cutting: Cutting): string | undefined {
  const wanted = canonical(cutting);
  if (wanted === undefined) return undefined;
  return Object.entries(PRE_TOKENIZERS).find(([, named]) => canonical(named) === wanted)?.[0];
}

function canonical({ preTokenizer, normalizer, ignoreMerges }: Cutting): string | undefined {
  const cut = Cut.safeParse(preTokenizer);
  const normal = Normalizer.safeParse(normalizer ?? null);
  if (!cut.success || !normal.success) return undefined;
  return JSON.stringify([cut.data, normal.data, ignoreMerges]);
}
