/** Makes safetensors files byte by byte, sound ones and broken ones. */
import { encodeHalf } from '../half.ts';
import type { Tensor } from '../tensor.ts';

/** The bytes of a file: the header as given, then the data. */
export function safetensorsBytes(header: unknown, data: Uint8Array = new Uint8Array()): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.byteLength));
  return Buffer.concat([length, json, data]);
}

const ENCODERS = {
  F32: (data: Float32Array) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  F16: (data: Float32Array) => new Uint8Array(encodeHalf(data).buffer),
  /** Cuts off the lower half, so the numbers must fit. */
  BF16: (data: Float32Array) =>
    new Uint8Array(Uint16Array.from(new Uint32Array(Float32Array.from(data).buffer), (bits) => bits >>> 16).buffer),
};

export function encodeSafetensors(tensors: ReadonlyMap<string, Tensor>, dtype: keyof typeof ENCODERS): Buffer {
  const header: Record<string, unknown> = {};
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const [name, { shape, data }] of tensors) {
    const bytes = ENCODERS[dtype](data);
    parts.push(bytes);
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.byteLength] };
    offset += bytes.byteLength;
  }
  return safetensorsBytes(header, Buffer.concat(parts));
}
