/**
 * A string without lone surrogates. UTF-8 cannot carry one: it would change on its way to a
 * backend, and the two sides would take digests of different texts.
 */
import * as z from 'zod';

const EXPECTED = 'text without lone surrogates';

/**
 * Clients cut texts in the middle of an emoji. What is left means nothing, so we replace it instead
 * of refusing it.
 */
export const repaired = z.string().transform((text) => text.toWellFormed());

export const wellFormed = z.string().refine((text) => text.isWellFormed(), { error: EXPECTED });
