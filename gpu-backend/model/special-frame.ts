/**
 * The special tokens that a tokenizer puts around a text where it is asked to, such as a BOS: the
 * `post_processor` of `tokenizer.json`. Prompts of this server never need them, because a chat
 * template writes its own.
 */
import * as z from 'zod';

export type SpecialFrame = { before: readonly number[]; after: readonly number[] };

const NONE: SpecialFrame = { before: [], after: [] };
const TokenAndId = z.tuple([z.string(), z.int().min(0)]);

const Processor = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('ByteLevel') }),
  z.looseObject({
    type: z.literal('TemplateProcessing'),
    /** For one text: the names of special tokens, and null for the text. */
    single: z.array(
      z.union([
        z.looseObject({ SpecialToken: z.looseObject({ id: z.string() }) }).transform((item) => item.SpecialToken.id),
        z.looseObject({ Sequence: z.looseObject({}) }).transform(() => null),
      ]),
    ),
    special_tokens: z.record(z.string(), z.looseObject({ ids: z.array(z.int().min(0)) })),
  }),
  z.looseObject({ type: z.enum(['BertProcessing', 'RobertaProcessing']), cls: TokenAndId, sep: TokenAndId }),
  z.looseObject({ type: z.literal('Sequence'), processors: z.array(z.unknown()) }),
]);

/** Null if the post-processor is none that we know: then nobody can say what it adds. */
export function specialFrame(postProcessor: unknown): SpecialFrame | null {
  if (postProcessor == null) return NONE;
  const parsed = Processor.safeParse(postProcessor);
  if (!parsed.success) return null;
  const processor = parsed.data;
  switch (processor.type) {
    case 'ByteLevel':
      return NONE;
    case 'BertProcessing':
    case 'RobertaProcessing':
      return { before: [processor.cls[1]], after: [processor.sep[1]] };
    case 'Sequence':
      // Each takes what the one before it has made.
      return processor.processors.reduce<SpecialFrame | null>((inner, each) => {
        const outer = specialFrame(each);
        if (inner === null || outer === null) return null;
        return { before: [...outer.before, ...inner.before], after: [...inner.after, ...outer.after] };
      }, NONE);
    case 'TemplateProcessing': {
      const { single, special_tokens } = processor;
      const at = single.indexOf(null);
      const idsOf = (names: typeof single) =>
        names.flatMap((name) => (name === null ? [] : (special_tokens[name]?.ids ?? [])));
      return { before: idsOf(single.slice(0, at)), after: idsOf(single.slice(at + 1)) };
    }
  }
}
