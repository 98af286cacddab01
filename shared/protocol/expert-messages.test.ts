import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeRow, encodeRow, packVocabulary, unpackVocabulary } from './expert-messages.ts';

const u32 = fc.integer({ min: 0, max: 0x7fffffff });
const about = fc.record({
  epoch: u32,
  position: u32,
  draft: fc.option(u32),
  half: fc.float64Array({ maxLength: 5, noNaN: true }),
});
const whole = fc.record({ logits: fc.float32Array({ maxLength: 9 }) });
const truncated = fc.integer({ min: 0, max: 9 }).chain((length) =>
  fc.record({
    ids: fc.int32Array({ minLength: length, maxLength: length }),
    logprobs: fc.float64Array({ minLength: length, maxLength: length }),
    left: fc.double({ min: 0, max: 1 }),
  }),
);

test('a row comes back as it was, whole or truncated, with whatever numbers', () => {
  fc.assert(
    fc.property(about, fc.oneof(whole, truncated), (head, row) => {
      const sent = { ...head, ...row };
      expect(decodeRow(encodeRow(sent).buffer)).toEqual(sent);
    }),
  );
});

test('bytes that are no row are refused', () => {
  const bytes = encodeRow({
    epoch: 0,
    position: 0,
    draft: null,
    half: Float64Array.of(1),
    logits: Float32Array.of(1, 2),
  });
  for (const length of [0, 8, bytes.length - 1])
    expect(() => decodeRow(bytes.slice(0, length).buffer)).toThrow(RangeError);
  const longer = new Uint8Array(bytes.length + 4);
  longer.set(bytes);
  expect(() => decodeRow(longer.buffer)).toThrow(RangeError);
});

test('a vocabulary comes back as it was: tokens without text, empty ones, half characters', () => {
  const tokens = [
    undefined,
    Uint8Array.of(),
    Uint8Array.of(0xe2, 0x9a),
    Uint8Array.of(0x93),
    new Uint8Array(300).fill(65),
  ];
  const vocabulary = { eos: [0], banned: [1], dropsFirstSpace: true, bytesOf: (id: number) => tokens[id] };
  const { bytesOf, ...rest } = unpackVocabulary(packVocabulary(vocabulary, tokens.length));
  expect(rest).toEqual({ eos: [0], banned: [1], dropsFirstSpace: true });
  for (const [id, bytes] of tokens.entries()) expect(bytesOf(id)).toEqual(bytes);
  expect([bytesOf(-1), bytesOf(5)]).toEqual([undefined, undefined]);
});
