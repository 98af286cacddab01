import { Tokenizer } from '@huggingface/tokenizers';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TextStream } from '#shared/text/text-stream.ts';
import { BYTE_CHARACTERS } from './byte-alphabet.ts';
import { SPECIAL_TOKENS, tinyTokenizerJson } from './fixtures/tiny-bundle.ts';
import { BundleTokenizer, TokenizerJson } from './tokenizer.ts';

type AddedToken = ReturnType<typeof added>;
type Json = Omit<ReturnType<typeof tinyTokenizerJson>, 'added_tokens'> & { added_tokens: AddedToken[] } & Record<
    string,
    unknown
  >;
const open = (json: unknown, chatTemplate = '') => new BundleTokenizer(TokenizerJson.parse(json), {}, chatTemplate);
const tiny = (change: (json: Json) => void): Json => {
  const json: Json = structuredClone(tinyTokenizerJson());
  change(json);
  return json;
};
const added = (id: number, content: string, flags: object = {}) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: false,
  ...flags,
});

/** As SentencePiece's BPE is written in Hugging Face's format, small: Llama 2 and Mistral. */
function fallbackJson(more: object = {}) {
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
  const merges = ['▁ t', 'h e', '▁t he', '▁ ▁', 'é é'];
  const letters = [...'▁abcdefghijklmnopqrstuvwxyzé'];
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, ...letters, ...merges.map((merge) => merge.replace(' ', ''))];
  return {
    version: '1.0',
    added_tokens: ['<unk>', '<s>', '</s>'].map((content, id) => added(id, content, { special: true })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      unk_token: '<unk>',
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
    ...more,
  };
}

describe('a vocabulary without some bytes', () => {
  // SmolLM2's lacks these.
  const ABSENT = [0x04, 0x06, 0x13, 0x14, 0x16, 0x1d, 0xc0, 0xc1, 0xf1, 0xf2, ...range(0xf5, 0xff)];
  const without = (bytes: readonly number[]) =>
    tiny(({ model }) => {
      for (const byte of bytes) delete model.vocab[BYTE_CHARACTERS[byte]!];
    });

  test('writes U+FFFD for what it cannot write, and drops nothing', () => {
    const tokenizer = open(without(ABSENT));
    for (const [text, expected] of [
      ['a\u0004b\u001d', 'a\ufffdb\ufffd'],
      ['\u{40000}\u{bffff}\u{3ffff}\u{c0000}', '\ufffd\ufffd\u{3ffff}\u{c0000}'],
      ['tab\tand\r\n\u0000', 'tab\tand\r\n\u0000'],
      ['\ud800x', '\ufffdx'],
    ] as const) {
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(expected);
    }
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const kept = Array.from(tokenizer.decode(tokenizer.encode(text)));
        expect(kept).toHaveLength(Array.from(text).length);
        expect(kept.every((c, i) => c === Array.from(text)[i] || c === '\ufffd')).toBe(true);
      }),
    );
  });

  test.each([
    ['a letter', [0x61], 'no token for the bytes 0x61: found 255 of 256 bytes'],
    ['a line feed', [0x04, 0x0a], 'no token for the bytes 0x0a: found 254 of 256 bytes'],
    ['part of a character', [0x80, 0xe2, 0xf4], 'no token for the bytes 0x80, 0xe2, 0xf4: found 253 of 256 bytes'],
  ])('is refused if text needs them: %s', (_, bytes, message) => {
    expect(() => open(without(bytes))).toThrow(`tokenizer.json: ${message}, wanted all but control characters`);
  });
});

describe('byte fallback', () => {
  const tokenizer = open(fallbackJson());
  const { vocab } = fallbackJson().model;

  test('writes characters without a token as bytes, and spaces as ▁', () => {
    expect(tokenizer.encode('the €')).toEqual(['▁the', '▁', '<0xE2>', '<0x82>', '<0xAC>'].map((token) => vocab[token]));
    expect(tokenizer.encode('a\n')).toEqual(['▁', 'a', '<0x0A>'].map((token) => vocab[token]));
  });

  test('takes the name of a byte in a text for letters', () => {
    const ids = tokenizer.encode('<0x0A>');
    expect(ids).not.toContain(vocab['<0x0A>']);
    expect(tokenizer.decode(ids)).toBe('<0x0A>');
  });

  test('loses no text, and streams no half characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (text) => {
        const plain = text.replaceAll('▁', ' ');
        const ids = tokenizer.encode(text);
        expect(tokenizer.decode(ids)).toBe(plain);
        const stream = new TextStream((id) => tokenizer.bytesOf(id));
        const parts = ids.map((id) => stream.push(id));
        expect(parts.join('')).toBe(` ${plain}`);
        expect(parts.some((part) => part.includes('\ufffd'))).toBe(text.includes('\ufffd'));
      }),
    );
  });

  test('is refused without a token for a byte that text needs, even if letters have tokens', () => {
    const json = fallbackJson();
    delete json.model.vocab['<0x61>'];
    expect(() => open(json)).toThrow('no token for the bytes 0x61: found 255 of 256 bytes');
  });

  test('is refused if the file does not say so', () => {
    const json = fallbackJson();
    json.model.byte_fallback = false;
    expect(() => open(json)).toThrow(/^tokenizer\.json: token \d+ .* is not written in byte-level BPE/);
  });
});

describe('control tokens', () => {
  const ROLES = tiny(({ added_tokens }) => {
    added_tokens.push(added(300, '<｜User｜>'), added(301, '<|tool|>'), added(302, '\n\n'), added(303, '<b>'));
  });
  const TEMPLATE = "{{ '<｜User｜>' + messages[0].content }}<|{{ messages[0].role }}|>\n\n";

  test('are the special tokens and those that the template writes, whole or around a role', () => {
    const tokenizer = open(ROLES, TEMPLATE);
    expect([...tokenizer.controls].slice(-2)).toEqual([
      ['<｜User｜>', 300],
      ['<|tool|>', 301],
    ]);
    expect(
      tokenizer
        .encode('<b>\n\n<|tool|><｜User｜><|end|>')
        .filter((id) => [...tokenizer.controls.values(), 302, 303].includes(id)),
    ).toEqual([303, 302]);
    expect(open(ROLES).encode('<｜User｜>')).toEqual([300]);
  });

  test('are refused as single words', () => {
    const json = tiny(({ added_tokens }) => (added_tokens[5]!.single_word = true));
    expect(() => open(json)).toThrow('added token "<|end|>": single_word must be false');
  });

  /** The library's own reading of the whole text is the reference for everything around them. */
  const flags = fc.record({ lstrip: fc.boolean(), rstrip: fc.boolean() });
  const plain = fc
    .array(fc.oneof(fc.constantFrom(' ', '\n', 'the', 'é', '🐀', '𐀀'), fc.string({ unit: 'grapheme' })), {
      maxLength: 4,
    })
    .map((pieces) => pieces.join('').toWellFormed().replace(/[<>|]/g, ''));
  const METASPACE = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: false };

  test.each([
    ['byte-level', tiny(() => {}), '<|bos|>', '<|end|>'],
    ['with NFC', tiny((json) => Object.assign(json, { normalizer: { type: 'NFC' } })), '<|bos|>', '<|end|>'],
    ['with a space before every piece', fallbackJson(), '<s>', '</s>'],
    [
      'with a space before the first piece',
      fallbackJson({ normalizer: null, pre_tokenizer: METASPACE }),
      '<s>',
      '</s>',
    ],
  ])('leave the text around them as the library reads it: %s', (_, json, begin, end) => {
    fc.assert(
      fc.property(flags, flags, fc.array(fc.oneof(plain, fc.constantFrom(1, 2)), { maxLength: 6 }), (a, b, parts) => {
        const changed = structuredClone(json) as Json;
        const find = (content: string) => changed.added_tokens.find((token) => token.content === content)!;
        Object.assign(find(begin), a);
        Object.assign(find(end), b);
        const contents = [begin, end];
        const given = parts.map((part) => (typeof part === 'number' ? find(contents[part - 1]!).id : part));
        const whole = parts.map((part) => (typeof part === 'number' ? contents[part - 1]! : part)).join('');
        const library = new Tokenizer(changed, {});
        const expected = whole === '' ? [] : library.encode(whole, { add_special_tokens: false }).ids;
        expect(open(changed).encodeParts(given)).toEqual(expected);
      }),
    );
  });
});

test.each([
  // As the reference in Rust (tokenizers 0.23.3) cuts them.
  ['digits one by one', { type: 'Digits', individual_digits: true }, 'a½2Ⅻ', ['a', '½', '2', 'Ⅻ']],
  ['digits in groups', { type: 'Digits', individual_digits: false }, 'a1½2 ١', ['a', '1½2', ' ', '١']],
  ['words after U+0085', null, 'a\u0085\u0085b', ['a', '\u0085', '\u0085', 'b']],
  ['words after U+FEFF', null, 'a \ufeffb', ['a', ' \ufeff', 'b']],
])('cuts %s', (_, first, text, words) => {
  // With every word whole in the vocabulary, its tokens show where the text is cut.
  const whole = new Set(words.filter((word) => word.length > 1 || word > '\x7f'));
  const json = tiny(({ model }) => {
    Object.assign(model, { ignore_merges: true });
    for (const content of SPECIAL_TOKENS) delete model.vocab[content];
    for (const [i, word] of [...whole].entries()) {
      const token = Array.from(new TextEncoder().encode(word), (byte) => BYTE_CHARACTERS[byte]).join('');
      model.vocab[token] = 400 + i;
    }
  });
  const byteLevel = { ...json.pre_tokenizer, use_regex: first === null };
  Object.assign(json, {
    pre_tokenizer: first ? { type: 'Sequence', pretokenizers: [first, byteLevel] } : byteLevel,
  });
  const tokenizer = open(json);
  expect(tokenizer.encode(text).map((id) => tokenizer.decode([id]))).toEqual(words);
});

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
