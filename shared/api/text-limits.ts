/** How much text is looked at, in UTF-16 units as JavaScript counts characters. */

/**
 * What the classifier reads of one text: some 16,000 tokens of English. What lies beyond is `unread`, and a policy says what
 * that costs.
 */
export const MAX_READ_CHARS = 64_000;

/** Texts in one moderation request ... */
export const MAX_MODERATION_TEXTS = 128;
/** ... and characters of all of them together. */
export const MAX_MODERATION_CHARS = 128_000;
