/**
 * What an answer's text must look like, as the edge sends it to a backend. It is data: how a
 * grammar is compiled and masks tokens is in the other files of this folder.
 *
 * The answer as a whole follows the grammar, byte by byte, from its first token on, and may end
 * exactly where the grammar may. JSON is written as `JSON.stringify` would (one spelling for each
 * text), with a little white space between its parts.
 *
 * A schema is a text and not a value, because the order of its properties is the order in which
 * they are written. So two orders are two requests, with other draws and other digests.
 */
import * as z from 'zod';
import { wellFormed } from '#shared/api/well-formed.ts';

export type Grammar =
  /** Any JSON object. */
  | { type: 'json_object' }
  /** A JSON value that is valid under a schema: the JSON text of a schema (draft 2020-12). */
  | { type: 'json_schema'; schema: string }
  /** Exactly this text. */
  | { type: 'literal'; text: string }
  /**
   * Any text, also none, in which none of these occurs. `notFirst` is an ASCII character that may
   * stand neither at its start nor after nothing but white space.
   */
  | { type: 'text'; without: string[]; notFirst?: string | undefined }
  /** Any text up to the first place where `until` ends. `notFirst` is as in a text. */
  | { type: 'text-until'; until: string; notFirst: string }
  /** One after the other. */
  | { type: 'sequence'; parts: Grammar[] }
  /** One of them. */
  | { type: 'choice'; options: Grammar[] }
  /**
   * Text in which grammars wake up: once `begin` has appeared, `body` must follow at once. `least`
   * and `most` count how often that happens (null: any number). With `text`, there may be free text
   * before, between and after; without it, there is nothing but the calls, and `between` stands
   * between two of them. A call of a tool is one: `begin` and the body's parts are the template's.
   */
  | {
      type: 'triggered';
      triggers: { begin: string; body: Grammar }[];
      text: boolean;
      between: string;
      least: number;
      most: number | null;
    };

const MOST_PARTS = 256;
/** The most characters of a schema's JSON text. */
export const MOST_SCHEMA_CHARACTERS = 100_000;

const oneCharacter = z.string().regex(/^[!-~]$/);

export const Grammar: z.ZodType<Grammar, Grammar> = z.lazy(() =>
  z.discriminatedUnion('type', [
    z.strictObject({ type: z.literal('json_object') }),
    z.strictObject({ type: z.literal('json_schema'), schema: wellFormed.min(1).max(MOST_SCHEMA_CHARACTERS) }),
    z.strictObject({ type: z.literal('literal'), text: wellFormed }),
    z.strictObject({
      type: z.literal('text'),
      without: z.array(wellFormed.min(1)).max(MOST_PARTS),
      notFirst: oneCharacter.optional(),
    }),
    z.strictObject({ type: z.literal('text-until'), until: wellFormed.min(1), notFirst: oneCharacter }),
    z.strictObject({ type: z.literal('sequence'), parts: z.array(Grammar).min(1).max(MOST_PARTS) }),
    z.strictObject({ type: z.literal('choice'), options: z.array(Grammar).min(1).max(MOST_PARTS) }),
    z.strictObject({
      type: z.literal('triggered'),
      triggers: z
        .array(z.strictObject({ begin: wellFormed.min(1), body: Grammar }))
        .min(1)
        .max(MOST_PARTS),
      text: z.boolean(),
      between: wellFormed,
      least: z.int().min(0).max(MOST_PARTS),
      most: z.int().min(1).max(MOST_PARTS).nullable(),
    }),
  ]),
);
