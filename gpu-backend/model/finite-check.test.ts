import { expect, test } from 'vitest';
import { FiniteCheck } from './finite-check.ts';
import type { StoredTensor } from './stored-base.ts';
import { encodeSafetensors } from './testing/make-safetensors.ts';

const TYPES = ['F32', 'F16', 'BF16'] as const;
const SIZE = { F32: 4, F16: 2, BF16: 2 };

/** A file with two tensors of 30 numbers, and where they are. */
function fileWith(dtype: (typeof TYPES)[number], bad: number | null, at: number) {
  const numbers = (offset: number) =>
    Float32Array.from({ length: 30 }, (_, i) => (i + offset === at && bad !== null ? bad : (i - 15) * 4000));
  const shape = [30];
  const tensors = new Map([
    ['a', { shape, data: numbers(0) }],
    ['b', { shape, data: numbers(30) }],
  ]);
  const bytes = encodeSafetensors(tensors, dtype);
  const length = 30 * SIZE[dtype];
  const start = bytes.length - 2 * length;
  const places = new Map<string, StoredTensor>(
    ['a', 'b'].map((name, i) => [name, { dtype, shape, offset: start + i * length, bytes: length }]),
  );
  return { bytes, places };
}

function feed({ bytes, places }: ReturnType<typeof fileWith>, chunk: number): void {
  const check = new FiniteCheck(places, 'model.safetensors');
  for (let at = 0; at < bytes.length; at += chunk) check.take(bytes.subarray(at, at + chunk));
}

const CHUNKS = [1, 2, 3, 7, 64, 1000];

test.each(TYPES)('%s: finite numbers pass, however the file is cut into chunks', (dtype) => {
  for (const chunk of CHUNKS) expect(() => feed(fileWith(dtype, null, 0), chunk)).not.toThrow();
});

test.each(
  TYPES.flatMap((dtype) =>
    [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map((bad) => [dtype, bad] as const),
  ),
)('%s: %d is found wherever it is, however the file is cut into chunks', (dtype, bad) => {
  for (let at = 0; at < 60; at++) {
    for (const chunk of CHUNKS) {
      const message = `tensor ${at < 30 ? 'a' : 'b'}: found NaN or an infinity at element ${at % 30}, wanted finite`;
      expect(() => feed(fileWith(dtype, bad, at), chunk)).toThrow(`model.safetensors: ${message}`);
    }
  }
});

test('bytes of other types mean nothing', () => {
  const { bytes, places } = fileWith('F32', Number.NaN, 3);
  const quants = new Map([...places].map(([name, place]) => [name, { ...place, dtype: 'U8' }]));
  expect(() => feed({ bytes, places: quants }, 16)).not.toThrow();
});
