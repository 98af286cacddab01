import { expect, test } from 'vitest';
import { DecoderConfig } from '../model/config.ts';
import { chooseContext } from './choose-context.ts';

/** SmolLM2-135M: 30 layers of keys and values, 192 numbers each, so 46,080 bytes a token. */
const smol = {
  id: 'smol',
  manifest: {},
  config: DecoderConfig.parse({
    model_type: 'llama',
    vocab_size: 49_152,
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
    eos_token_id: 2,
  }),
};
/** 134,515,008 weights, and the table of 49,152 x 576 once more, in f32. */
const WEIGHTS = 4 * (134_515_008 + 49_152 * 576);
const TOKEN = 46_080;
const choose = (options: Partial<Parameters<typeof chooseContext>[1]>) =>
  chooseContext(smol, { wanted: null, freeBytes: 64 * 2 ** 30, ...options });

test('is the model’s own where memory is plenty, and says so with the numbers', () => {
  expect(choose({})).toMatchObject({
    tokens: 8192,
    kvBytes: Math.floor(0.75 * (64 * 2 ** 30 - WEIGHTS)),
    reason:
      'smol: a context of 8192 tokens, of at most 8192. Keys and values of all requests get 48686 MiB, and two full ' +
      'rows take 720 MiB of it (45 KiB a token); 64915 MiB are free beside the weights',
  });
});

test.each([
  // Three quarters of what is left, for the two rows of a request.
  ['two rows of 1,024', WEIGHTS + (2 * 1024 * TOKEN) / 0.75, 1024],
  ['less than a step more', WEIGHTS + (2 * 1087 * TOKEN) / 0.75, 1024],
  ['hardly any memory', WEIGHTS + 1000, 512],
  ['less memory than the weights', 1000, 512],
])('is what memory allows: %s', (_, freeBytes, tokens) => {
  const choice = choose({ freeBytes });
  expect(choice.tokens).toBe(tokens);
  // One request as long as the context fits in any case.
  expect(choice.kvBytes).toBe(Math.max(2 * tokens * TOKEN, Math.floor(0.75 * Math.max(0, freeBytes - WEIGHTS))));
});

test('the memory may be said, and the context follows it', () => {
  expect(choose({ wantedKvBytes: 2 * 1030 * TOKEN, freeBytes: 0 })).toMatchObject({
    tokens: 1024,
    kvBytes: 2 * 1030 * TOKEN,
  });
  expect(choose({ wantedKvBytes: 2 ** 40 })).toMatchObject({ tokens: 8192, kvBytes: 2 ** 40 });
  expect(choose({ wantedKvBytes: 2 * 64 * TOKEN })).toMatchObject({ tokens: 64 });
  expect(() => choose({ wantedKvBytes: 2 * 64 * TOKEN - 1 })).toThrow(
    'PLIMSOLL_KV_BYTES: found 5898239, wanted at least the 5898240 bytes that two rows of 64 tokens take',
  );
  expect(() => choose({ wantedKvBytes: 2 ** 50, totalBytes: 2 ** 34 })).toThrow(
    'PLIMSOLL_KV_BYTES: found 1125899906842624, wanted at most the 17179869184 bytes of this machine',
  );
  expect(() => choose({ wanted: 1000, wantedKvBytes: 2 * 1000 * TOKEN })).toThrow(/two rows of 1000 tokens take/);
});

test('quantised weights leave more room', () => {
  const freeBytes = 2 ** 30;
  const int4 = { ...smol, manifest: { weights: { type: 'int4', block: 32, arithmetic: 'fast' } as const } };
  const options = { wanted: null, freeBytes };
  expect(chooseContext(int4, options).tokens).toBeGreaterThan(chooseContext(smol, options).tokens);
  // Held twice, they leave less.
  const mixed = { ...smol, manifest: { weights: { ...int4.manifest.weights, arithmetic: 'mixed' } as const } };
  expect(chooseContext(mixed, options).tokens).toBeLessThan(chooseContext(int4, options).tokens);
});

test('is what the operator wants, whatever memory says, but never more than the model has', () => {
  expect(choose({ wanted: 8192, freeBytes: 0 })).toMatchObject({ tokens: 8192, kvBytes: 2 * 8192 * TOKEN });
  expect(choose({ wanted: 100 }).tokens).toBe(100);
  expect(() => choose({ wanted: 8193 })).toThrow(
    'PLIMSOLL_CONTEXT: found 8193, wanted at most the 8192 tokens of smol',
  );
});

test('a small model of few positions keeps them all', () => {
  const tiny = { ...smol, config: { ...smol.config, max_position_embeddings: 96 } };
  expect(chooseContext(tiny, { wanted: null, freeBytes: 0 }).tokens).toBe(96);
});
