/**
 * A string that is text: without lone surrogates, which no UTF-8 can carry. One would change on its way to a backend, and the
 * digests of both sides would be of different texts.
 */
import * as z from 'zod';

const EXPECTED = 'text without lone surrogates';

export const wellFormed = z.string().refine((text) => text.isWellFormed(), { error: EXPECTED });
