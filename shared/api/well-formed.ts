/**
 * A string that is text: without lone surrogates, which no UTF-8 can carry. One would change on its way to a backend, and the
 * digests of both sides would be of different texts.
 */
import * as z from 'zod';

const EXPECTED = 'text without lone surrogates';

/** Clients cut texts in the middle of an emoji; what is left of it means nothing, so it is replaced and not refused. */
export const repaired = z.string().transform((text) => text.toWellFormed());

export const wellFormed = z.string().refine((text) => text.isWellFormed(), { error: EXPECTED });
