/**
 * A model's config names tokens by id, and its tokenizer has them by text. Training starts only if
 * the two agree as a bundle must, so that nothing trains for hours that cannot be exported.
 */
import { type DecoderConfig, eosIds } from '#gpu-backend/model/config.ts';
import type { TrainingTokenizer } from '../tokenizer/chat-files.ts';

type Tokens = Pick<TrainingTokenizer, 'vocabSize' | 'eosId' | 'tokenizer'>;

/**
 * Throws if the model has too few tokens or ends answers with other tokens than the tokenizer does.
 * The model may have more tokens than the tokenizer. `name` is the config's file, for errors.
 */
export function assertTokensFit(config: DecoderConfig, tokens: Tokens, { name }: { name: string }): void {
  const { vocabSize, eosId, tokenizer } = tokens;
  if (vocabSize > config.vocab_size) {
    throw new Error(`${name}: the tokenizer has ${vocabSize} tokens, the model only ${config.vocab_size}`);
  }
  const textOf = new Map([...tokenizer.specials].map(([text, id]) => [id, text]));
  const own = `${textOf.get(eosId)} (${eosId}) ends an answer`;
  const ids = eosIds(config);
  const ordinary = ids.find((id) => !textOf.has(id));
  if (ordinary !== undefined) {
    throw new Error(
      `${name}: eos_token_id: found ${ordinary}, wanted the id of a special token; in the tokenizer ${own}`,
    );
  }
  if (!ids.includes(eosId)) {
    const found = ids.map((id) => `${textOf.get(id)} (${id})`).join(', ');
    throw new Error(`${name}: eos_token_id: found ${found}; in the tokenizer ${own}, so eos_token_id must name it`);
  }
}

/** A warning if the model has tokens that its tokenizer never makes. Null if there are none. */
export function unusedTokens(config: DecoderConfig, { vocabSize }: Pick<Tokens, 'vocabSize'>): string | null {
  const unused = config.vocab_size - vocabSize;
  return unused > 0
    ? `the model has ${config.vocab_size} tokens, its tokenizer ${vocabSize}: ${unused} rows of its vocabulary are never used`
    : null;
}
