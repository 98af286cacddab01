/** Makes GGUF files byte by byte, sound ones and broken ones. */
export class GgufBytes {
  readonly #parts: Uint8Array[] = [];

  /** The number of bytes so far. */
  get length(): number {
    return this.#parts.reduce((sum, { length }) => sum + length, 0);
  }

  bytes(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    return this;
  }

  u32(value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return this.bytes(bytes);
  }

  u64(value: number | bigint): this {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    return this.bytes(bytes);
  }

  text(text: string): this {
    const bytes = Buffer.from(text);
    return this.u64(bytes.length).bytes(bytes);
  }

  pad(alignment: number): this {
    return this.bytes(new Uint8Array((alignment - (this.length % alignment)) % alignment));
  }

  build(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

export type GgufTensor = { name: string; type: number; shape: number[]; data: Uint8Array; offset?: number | bigint };

/** Each value as its type and its bytes, or as a text or a 32-bit number. */
export type GgufMetadata = readonly (readonly [
  key: string,
  value: string | number | { type: number; bytes: Uint8Array },
])[];

/** An array of texts. */
export function texts(values: readonly string[]) {
  const bytes = new GgufBytes().u32(8).u64(values.length);
  for (const value of values) bytes.text(value);
  return { type: 9, bytes: bytes.build() };
}

/** A number in f32. */
export const float = (value: number) => ({ type: 6, bytes: new Uint8Array(Float32Array.of(value).buffer) });

export type GgufParts = {
  version?: number;
  metadata?: GgufMetadata;
  tensors?: readonly GgufTensor[];
  alignment?: number;
  /** What the header claims instead of the truth. */
  tensorCount?: number | bigint;
  metadataCount?: number | bigint;
};

export function ggufBytes({ version = 3, metadata = [], tensors = [], alignment = 32, ...claims }: GgufParts): Buffer {
  const file = new GgufBytes().bytes(Buffer.from('GGUF')).u32(version);
  file.u64(claims.tensorCount ?? tensors.length).u64(claims.metadataCount ?? metadata.length);
  for (const [key, value] of metadata) {
    file.text(key);
    if (typeof value === 'string') file.u32(8).text(value);
    else if (typeof value === 'number') file.u32(4).u32(value);
    else file.u32(value.type).bytes(value.bytes);
  }
  const data = new GgufBytes();
  for (const { name, type, shape, data: bytes, offset = data.length } of tensors) {
    file.text(name).u32(shape.length);
    for (const size of shape.toReversed()) file.u64(size);
    file.u32(type).u64(offset);
    data.bytes(bytes).pad(alignment);
  }
  return file.pad(alignment).bytes(data.build()).build();
}
