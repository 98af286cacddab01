import * as z from 'zod';

/** A token is written as its text, or as an object that says more about it. */
const TokenText = z.union([z.string(), z.looseObject({ content: z.string() }).transform((token) => token.content)]);

/** What we read of `tokenizer_config.json`. */
export const TokenizerConfig = z.looseObject({
  bos_token: TokenText.nullish(),
  eos_token: TokenText.nullish(),
  pad_token: TokenText.nullish(),
});
