/** How much text is looked at, in UTF-16 units, as JavaScript counts characters. */

/**
 * How much of one text the classifier reads: some 16,000 tokens of English. The rest is `unread`,
 * and the policy says what that costs.
 */
export const MAX_READ_CHARS = 64_000;

/** The most texts in one moderation request, */
export const MAX_MODERATION_TEXTS = 128;
/** and the most characters in all of them together. */
export const MAX_MODERATION_CHARS = 128_000;
