/**
 * Our strings have no lone surrogates. UTF-8 cannot encode one, so it would change on its way to a
 * backend, and the two sides would compute digests of different texts.
 */
import * as z from 'zod';

const EXPECTED = 'text without lone surrogates';

/**
 * Clients sometimes cut a text in the middle of an emoji. The half that is left means nothing, so
 * we replace it instead of refusing the text.
 */
export const repaired = z.string().transform((text) => text.toWellFormed());

export const wellFormed = z.string().refine((text) => text.isWellFormed(), { error: EXPECTED });
