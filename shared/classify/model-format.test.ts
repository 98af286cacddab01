import { describe, expect, test } from 'vitest';
import { type ClassifierModel, decodeModel, encodeModel, FORMAT_VERSION, ModelFormatError } from './model-format.ts';

const model: Omit<ClassifierModel, 'version'> = {
  bits: 3,
  labels: ['hate', 'violence'].map((label, k) => ({
    label,
    bias: -1 - k,
    scale: 0.01,
    calibration: { slope: 1.5, offset: 0.25 },
  })),
  harm: { bias: -2, scale: 0.5 },
  anyHarm: { calibration: { slope: 1.25, offset: -0.5 } },
  words: ['the', "don't", 'how'],
  weights: Int8Array.from({ length: 8 * 3 }, (_, i) => 5 * i - 60),
};
const encoded = () => encodeModel(model);
/** Encodes any header as it is given. `encodeModel` does not judge; `decodeModel` does. */
const withHeader = (header: object) => encodeModel({ ...model, ...header } as typeof model).buffer;

test('reads back what was written, with its digest as the version', () => {
  const { version, ...rest } = decodeModel(encoded().buffer);
  expect(rest).toEqual(model);
  expect(version).toMatch(/^[0-9a-f]{16}$/);
  const nudged = encodeModel({ ...model, weights: model.weights.map((w, i) => (i === 0 ? w + 1 : w)) });
  expect(decodeModel(nudged.buffer).version).not.toBe(version);
});

describe('says what is wrong with a broken file', () => {
  test('notices every single flipped bit', () => {
    const length = encoded().length;
    for (let i = 0; i < 8 * length; i++) {
      const bytes = encoded();
      bytes[i >> 3]! ^= 1 << (i & 7);
      expect(() => decodeModel(bytes.buffer), `bit ${i}`).toThrow(ModelFormatError);
    }
  });

  test('notices a cut at any byte', () => {
    const bytes = encoded();
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeModel(bytes.slice(0, length).buffer), `${length} bytes`).toThrow(ModelFormatError);
    }
  });

  test.each([
    ['an empty file', new ArrayBuffer(0), /0 bytes are too few/],
    ['another format', new TextEncoder().encode('PK\u0003\u0004 a zip file, not a model').buffer, /begins with "PK/],
    ['bits out of range', withHeader({ bits: 40 }), /header\.bits is 40/],
    ['too few weights', withHeader({ weights: new Int8Array(5) }), /5 weights, the header promises 24/],
    ['no labels', withHeader({ labels: [] }), /header\.labels is no list/],
    ['a label without a name', withHeader({ labels: [{ label: 7 }] }), /header\.labels\[0\]\.label is 7/],
    ['a scale that is not finite', withHeader({ harm: { bias: 0, scale: Number.NaN } }), /header\.harm\.scale is null/],
    ['a number among the words', withHeader({ words: [7] }), /header\.words has "7"/],
    ['a word with a capital', withHeader({ words: ['the', 'How'] }), /header\.words has "How"/],
    ['no harm column', withHeader({ harm: undefined }), /header\.harm\.bias is undefined/],
    [
      'no calibration',
      withHeader({ labels: [{ label: 'hate', bias: 0, scale: 1 }] }),
      /header\.labels\[0\]\.calibration\.slope is undefined/,
    ],
  ])('%s', (_, file, message) => {
    expect(() => decodeModel(file)).toThrow(message);
    expect(() => decodeModel(file)).toThrow(ModelFormatError);
  });

  test('a later format version', () => {
    const bytes = encoded();
    bytes[4] = FORMAT_VERSION + 1;
    expect(() => decodeModel(bytes.buffer)).toThrow(`format ${FORMAT_VERSION + 1}, this code reads ${FORMAT_VERSION}`);
  });
});
