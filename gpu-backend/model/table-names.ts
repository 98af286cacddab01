/** Hugging Face's names for a decoder's two tables. Where they are tied, only the first exists. */
export const EMBEDDING = 'model.embed_tokens';
export const HEAD = 'lm_head';
export const EMBEDDING_WEIGHT = `${EMBEDDING}.weight`;
export const HEAD_WEIGHT = `${HEAD}.weight`;
