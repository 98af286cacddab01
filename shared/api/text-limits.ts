/** How much text we look at. Lengths are in UTF-16 units, as JavaScript counts characters. */

/**
 * How much of one text the classifier reads: about 16,000 English tokens. The rest is `unread`, and
 * the policy says how to treat that.
 */
export const MAX_READ_CHARS = 64_000;

/** The most characters in all prompts of one request for completions, if it has several. */
export const MAX_PROMPTS_CHARS = 128_000;

/** The most texts in one moderation request. */
export const MAX_MODERATION_TEXTS = 128;
/** The most characters in all texts of one moderation request together. */
export const MAX_MODERATION_CHARS = 128_000;
