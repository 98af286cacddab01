/**
 * The typed values that we write into a GGUF file's metadata
 * (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, "gguf_metadata_value_type"). Every
 * key has one type that llama.cpp asks for, so a value says its own.
 */
export type WrittenValue =
  | { type: 'uint32' | 'int32' | 'float32'; value: number }
  | { type: 'bool'; value: boolean }
  | { type: 'string'; value: string }
  | { type: 'strings'; value: readonly string[] }
  | { type: 'int32s' | 'float32s'; value: readonly number[] };

/** In the order of the file. */
export type WrittenMetadata = ReadonlyMap<string, WrittenValue>;

export const uint32 = (value: number): WrittenValue => ({ type: 'uint32', value });
export const float32 = (value: number): WrittenValue => ({ type: 'float32', value });
export const bool = (value: boolean): WrittenValue => ({ type: 'bool', value });
export const text = (value: string): WrittenValue => ({ type: 'string', value });

/** The numbers of the types in the file. */
const NUMBERS = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8 } as const;
const ARRAY = 9;

/** The type and the value, as they follow the key. */
export function valueBytes(written: WrittenValue): Uint8Array {
  switch (written.type) {
    case 'strings':
      return listBytes('string', written.value.map(textBytes));
    case 'int32s':
      return listBytes('int32', [new Uint8Array(Int32Array.from(written.value).buffer)], written.value.length);
    case 'float32s':
      return listBytes('float32', [new Uint8Array(Float32Array.from(written.value).buffer)], written.value.length);
    case 'string':
      return Buffer.concat([uint32Bytes(NUMBERS.string), textBytes(written.value)]);
    case 'bool':
      return Buffer.concat([uint32Bytes(NUMBERS.bool), Uint8Array.of(written.value ? 1 : 0)]);
    case 'uint32':
      return Buffer.concat([uint32Bytes(NUMBERS.uint32), uint32Bytes(written.value)]);
    case 'int32':
      return Buffer.concat([uint32Bytes(NUMBERS.int32), new Uint8Array(Int32Array.of(written.value).buffer)]);
    case 'float32':
      return Buffer.concat([uint32Bytes(NUMBERS.float32), new Uint8Array(Float32Array.of(written.value).buffer)]);
  }
}

function listBytes(of: keyof typeof NUMBERS, items: readonly Uint8Array[], count = items.length): Uint8Array {
  return Buffer.concat([uint32Bytes(ARRAY), uint32Bytes(NUMBERS[of]), uint64Bytes(count), ...items]);
}

/** A length in bytes, then UTF-8. */
export function textBytes(value: string): Uint8Array {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint64Bytes(bytes.length), bytes]);
}

export function uint32Bytes(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function uint64Bytes(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
