/** What the tokenizer puts around a text, against the library that does so itself. */
import { Tokenizer } from '@huggingface/tokenizers';
import { expect, test } from 'vitest';
import { tinyTokenizerJson } from './fixtures/tiny-bundle.ts';
import { specialFrame } from './special-frame.ts';
import { BundleTokenizer, TokenizerJson } from './tokenizer.ts';

const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
const text = { Sequence: { id: 'A', type_id: 0 } };
const ids = (name: string, id: number) => ({ [name]: { id: name, ids: [id], tokens: [name] } });
const TEMPLATE = {
  type: 'TemplateProcessing',
  single: [special('<|bos|>'), text, special('<|end|>')],
  pair: [special('<|bos|>'), text, special('<|end|>'), text],
  special_tokens: { ...ids('<|bos|>', 1), ...ids('<|end|>', 5) },
};
const BYTE_LEVEL = { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false, use_regex: true };

test.each([
  ['nothing', null, [], []],
  ['a byte-level one', BYTE_LEVEL, [], []],
  ['a template', TEMPLATE, [1], [5]],
  ['a template with the text alone', { ...TEMPLATE, single: [text] }, [], []],
  ["RoBERTa's", { type: 'RobertaProcessing', sep: ['<|end|>', 5], cls: ['<|bos|>', 1] }, [1], [5]],
  ['a byte-level one and a template', { type: 'Sequence', processors: [BYTE_LEVEL, TEMPLATE] }, [1], [5]],
])('%s', (_name, post_processor, before, after) => {
  const json = { ...tinyTokenizerJson(), post_processor };
  expect(specialFrame(post_processor)).toEqual({ before, after });
  const bundled = new BundleTokenizer(TokenizerJson.parse(json), {}, '');
  const inner = bundled.encode('in the tin');
  // The cast: the library's types know only some post-processors.
  const library = new Tokenizer(json as ConstructorParameters<typeof Tokenizer>[0], {});
  expect(library.encode('in the tin').ids).toEqual([...before, ...inner, ...after]);
  expect(bundled.frame).toEqual({ before, after });
});

test('nobody can say what one of an unknown kind adds', () => {
  expect(specialFrame({ type: 'Something' })).toBeNull();
  expect(specialFrame({ type: 'Sequence', processors: [BYTE_LEVEL, { type: 'Something' }] })).toBeNull();
});
