import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import reference from './fixtures/gguf-py-blocks.json' with { type: 'json' };
import { TENSOR_TYPES } from './tensor-types.ts';
import { BLOCK_FORMATS, slowDequantise } from './testing/slow-dequantise.ts';

const typeOf = (name: string) => [...TENSOR_TYPES.values()].find((type) => type.name === name)!;
const fromBase64 = (text: string) => Uint8Array.from(Buffer.from(text, 'base64'));

describe.each(Object.entries(BLOCK_FORMATS))('%s', (name, format) => {
  const { decode } = typeOf(name);

  test('has the size that the format’s description gives it', () => {
    expect(TENSOR_TYPES.get(format.type)).toMatchObject({
      name,
      blockSize: format.size,
      blockBytes: format.bytes,
    });
  });

  // Both round each weight once, so they are equal to the bit.
  test('equals the slow version on random blocks, infinite scales and NaN included', () => {
    const blocks = fc.array(fc.uint8Array({ minLength: format.bytes, maxLength: format.bytes }), { maxLength: 3 });
    fc.assert(
      fc.property(blocks, (parts) => {
        const bytes = Uint8Array.from(Buffer.concat(parts));
        expect(decode(bytes, parts.length)).toEqual(slowDequantise(format, bytes));
      }),
      { numRuns: 60 },
    );
  });

  test('equals gguf-py on stored blocks', () => {
    const { blocks, values } = reference[name as keyof typeof reference];
    const bytes = fromBase64(blocks);
    const wanted = new Float32Array(fromBase64(values).buffer);
    expect(decode(bytes, bytes.length / format.bytes)).toEqual(wanted);
    expect(slowDequantise(format, bytes)).toEqual(wanted);
  });
});

test('every type that is read has an oracle here, or is a plain float', () => {
  const names = [...TENSOR_TYPES.values()].map(({ name }) => name);
  expect(names.sort()).toEqual(['BF16', 'F16', 'F32', ...Object.keys(BLOCK_FORMATS)].sort());
});
