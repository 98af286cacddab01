/** Plain prompts become tokens of text and nothing else. */
import { expect, test } from 'vitest';
import type { BundleHead } from '../model/load-bundle.ts';
import { rawEncoder } from './encode-raw.ts';

/** Bytes, of which 1 is a control token of the template and 2 a special token. */
const tokenizer = {
  maxTokenBytes: 1,
  controls: new Map([['<c>', 1]]),
  bytesOf: (id: number) => (id === 2 || id > 255 ? undefined : Uint8Array.of(id)),
  encodeParts: ([text]: readonly string[]) => [...Buffer.from(text ?? '')],
  decode: (ids: readonly number[]) => Buffer.from(ids).toString(),
  // The cast: the encoder uses nothing else.
} as unknown as BundleHead['tokenizer'];
const encoder = (prompts: BundleHead['prompts'] = {}) =>
  rawEncoder({ tokenizer, prompts }, { contextLength: 10, looks: true });

test('a text and its ids are the same prompt, and the second look reads all of it', () => {
  const ids = [...Buffer.from('<c> ⚓')];
  const looked = [{ from: 0, to: ids.length, last: ids.length - 1 }];
  expect(encoder().encode('<c> ⚓')).toEqual({ promptIds: ids, rowPrompts: {}, looked });
  expect(encoder().encode(ids)).toEqual(encoder().encode('<c> ⚓'));
  expect(encoder().decode(ids)).toBe('<c> ⚓');
});

test.each<[string, string | number[], object]>([
  ['a control token', [65, 1], { code: 'invalid_value', param: 'prompt[1]' }],
  ['a special token', [2], { code: 'invalid_value', param: 'prompt[0]' }],
  ['no token at all', [65, 66, 999], { code: 'invalid_value', param: 'prompt[2]' }],
  ['nothing', '', { code: 'invalid_value', param: 'prompt' }],
  ['too much text', 'a'.repeat(10), { code: 'context_length_exceeded' }],
  ['too many ids', Array.from({ length: 10 }, () => 65), { code: 'context_length_exceeded' }],
])('%s is refused', (_name, prompt, error) => {
  expect(() => encoder().encode(prompt)).toThrow(expect.objectContaining(error));
});

test('a model whose experts have prompts of their own takes none', () => {
  const refused = expect.objectContaining({ code: 'unsupported_value', param: 'prompt' });
  expect(() => encoder({ safety: 'Be careful.' }).encode('Hi')).toThrow(refused);
  expect(() => encoder({ safety: 'Be careful.' }).decode([65])).toThrow(refused);
});
