import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TextStream } from './text-stream.ts';

/** Each token is a single byte. 256 is a special token without text. */
const bytesOf = (id: number) => (id === 256 ? undefined : Uint8Array.of(id));
const textOf = (stream: TextStream, ids: readonly number[]) => ids.map((id) => stream.push(id));

test('waits for the end of a character, and drops half a character at the end', () => {
  const ids = [...new TextEncoder().encode('a€b😀')];
  const texts = textOf(new TextStream(bytesOf), [...ids.slice(0, 3), 256, ...ids.slice(3), 0xe2]);
  expect(texts).toEqual(['a', '', '', '', '€', 'b', '', '', '', '😀', '']);
});

test('keeps a byte order mark inside an answer as text', () => {
  const stream = new TextStream(bytesOf);
  expect(textOf(stream, [0xef, 0xbb]).join('')).toBe('');
  expect(new TextStream(bytesOf, stream.state()).push(0xbf)).toBe('\uFEFF');
});

test('keeps no bytes that are already text', () => {
  const stream = new TextStream(bytesOf);
  textOf(stream, [...new TextEncoder().encode('é'), 0xc0, 0x80]);
  expect(stream.state()).toEqual({ bytes: [] });
});

/** Bytes of real text, mixed with random bytes and special tokens. */
const tokens = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 3 }).map((text) => [...new TextEncoder().encode(text)]),
      fc.array(fc.integer({ min: 0x78, max: 256 }), { maxLength: 4 }),
    ),
    { maxLength: 6 },
  )
  .map((parts) => parts.flat());

test('gives the same texts if its state is saved and restored as JSON at any point', () => {
  fc.assert(
    fc.property(tokens, fc.array(fc.nat(24), { maxLength: 4 }), (ids, cuts) => {
      let stream = new TextStream(bytesOf);
      const texts = ids.map((id, i) => {
        if (cuts.includes(i)) stream = new TextStream(bytesOf, JSON.parse(JSON.stringify(stream.state())));
        return stream.push(id);
      });
      expect(texts).toEqual(textOf(new TextStream(bytesOf), ids));
    }),
    { numRuns: 1000 },
  );
});
