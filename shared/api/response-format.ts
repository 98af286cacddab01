/**
 * How a client says what an answer must look like: OpenAI's `response_format`, and vLLM's two
 * fields for the same. Schemas stay as they came: shared/grammar reads them.
 */
import * as z from 'zod';
import { wellFormed } from './well-formed.ts';

const JsonSchema = z.record(z.string(), z.unknown());

const TYPES = ['text', 'json_object', 'json_schema'] as const;

const Format = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text') }),
  z.strictObject({ type: z.literal('json_object') }),
  z.strictObject({
    type: z.literal('json_schema'),
    json_schema: z.strictObject({
      name: z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/, 'letters, digits, _ and -, at most 64'),
      description: z.string().nullish(),
      /** Left out: any object. */
      schema: JsonSchema.nullish(),
      /** Answers follow the schema in either case. */
      strict: z.boolean().nullish(),
    }),
  }),
]);

// The type first, so that another one is an error about its value.
export const ResponseFormat = z
  .looseObject({ type: z.enum(TYPES) })
  .superRefine(({ schema }, { addIssue }) => {
    // Where others take it. Left out in silence, it would hold no answer to anything.
    if (schema == null) return;
    const message = 'no schema here: it belongs in response_format.json_schema.schema, with the type "json_schema"';
    addIssue({ code: 'custom', path: ['schema'], message });
  })
  .pipe(Format);

/** vLLM takes a schema as JSON text, too. */
const SchemaOrText = z.union([JsonSchema, wellFormed.min(1)]);
export const GuidedJson = SchemaOrText;

/** Of what vLLM can hold an answer to, that which is JSON. */
export const StructuredOutputs = z.strictObject({
  json: SchemaOrText.nullish(),
  json_object: z.boolean().nullish(),
});
