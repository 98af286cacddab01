import { expect, test } from 'vitest';
import { tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { TokenizerJson } from '#gpu-backend/model/tokenizer.ts';
import { TINY } from '../testing/tiny-model.ts';
import { openTokenizer } from '../tokenizer/chat-files.ts';
import { assertTokensFit, unusedTokens } from './assert-tokens-fit.ts';

const { tokenizer, tokenizerConfig, chatTemplate } = tinyBundle();
const tokens = openTokenizer({
  tokenizer: TokenizerJson.parse(tokenizer),
  tokenizerConfig: { ...tokenizerConfig },
  chatTemplate,
});
const check = (changes: object) => () =>
  assertTokensFit({ ...TINY, vocab_size: 272, ...changes }, tokens, { name: 'config.json' });

test('a config ends answers with the same token as its tokenizer', () => {
  expect(check({ eos_token_id: 5 })).not.toThrow();
  expect(check({ eos_token_id: [0, 5] })).not.toThrow();
  expect(check({ eos_token_id: 2 })).toThrow(
    'config.json: eos_token_id: found <|system|> (2); in the tokenizer <|end|> (5) ends an answer, so eos_token_id must name it',
  );
  expect(check({ eos_token_id: [5, 100] })).toThrow(
    'config.json: eos_token_id: found 100, wanted the id of a special token; in the tokenizer <|end|> (5) ends an answer',
  );
});

test('a model may have more tokens than its tokenizer, never fewer', () => {
  expect(check({ vocab_size: 100, eos_token_id: 5 })).toThrow(
    `config.json: the tokenizer has ${tokens.vocabSize} tokens, the model only 100`,
  );
  expect(unusedTokens({ ...TINY, vocab_size: tokens.vocabSize }, tokens)).toBeNull();
  expect(unusedTokens({ ...TINY, vocab_size: tokens.vocabSize + 3 }, tokens)).toContain(
    '3 rows of its vocabulary are never used',
  );
});
