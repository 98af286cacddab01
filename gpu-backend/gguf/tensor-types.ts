/** The tensor types of GGUF by their number in the file (`enum ggml_type`). */
import { decodeBfloat16 } from '#gpu-backend/model/bfloat16.ts';
import { decodeHalf } from '#gpu-backend/model/half.ts';
import {
  dequantiseQ4_0,
  dequantiseQ4_1,
  dequantiseQ4_K,
  dequantiseQ5_0,
  dequantiseQ5_1,
  dequantiseQ5_K,
  dequantiseQ6_K,
  dequantiseQ8_0,
} from './dequantise.ts';

export type TensorType = {
  name: string;
  /** Weights in a block. A row holds whole blocks. */
  blockSize: number;
  blockBytes: number;
  /** The result is in an array from `allocate` if it is not in the buffer of `bytes` itself. */
  decode: (
    bytes: Uint8Array<ArrayBuffer>,
    blocks: number,
    allocate?: () => Float32Array<ArrayBuffer>,
  ) => Float32Array<ArrayBuffer>;
};

export const TENSOR_TYPES: ReadonlyMap<number, TensorType> = new Map<number, TensorType>([
  [0, { name: 'F32', blockSize: 1, blockBytes: 4, decode: ({ buffer }) => new Float32Array(buffer) }],
  [1, { name: 'F16', blockSize: 1, blockBytes: 2, decode: ({ buffer }) => decodeHalf(new Uint16Array(buffer)) }],
  [2, { name: 'Q4_0', blockSize: 32, blockBytes: 18, decode: dequantiseQ4_0 }],
  [3, { name: 'Q4_1', blockSize: 32, blockBytes: 20, decode: dequantiseQ4_1 }],
  [6, { name: 'Q5_0', blockSize: 32, blockBytes: 22, decode: dequantiseQ5_0 }],
  [7, { name: 'Q5_1', blockSize: 32, blockBytes: 24, decode: dequantiseQ5_1 }],
  [8, { name: 'Q8_0', blockSize: 32, blockBytes: 34, decode: dequantiseQ8_0 }],
  [12, { name: 'Q4_K', blockSize: 256, blockBytes: 144, decode: dequantiseQ4_K }],
  [13, { name: 'Q5_K', blockSize: 256, blockBytes: 176, decode: dequantiseQ5_K }],
  [14, { name: 'Q6_K', blockSize: 256, blockBytes: 210, decode: dequantiseQ6_K }],
  [30, { name: 'BF16', blockSize: 1, blockBytes: 2, decode: ({ buffer }) => decodeBfloat16(new Uint16Array(buffer)) }],
]);

/** Types that we do not read, by the name that an error should give them. */
const UNREAD: ReadonlyMap<number, string> = new Map([
  [9, 'Q8_1'],
  [10, 'Q2_K'],
  [11, 'Q3_K'],
  [15, 'Q8_K'],
  [16, 'IQ2_XXS'],
  [17, 'IQ2_XS'],
  [18, 'IQ3_XXS'],
  [19, 'IQ1_S'],
  [20, 'IQ4_NL'],
  [21, 'IQ3_S'],
  [22, 'IQ2_S'],
  [23, 'IQ4_XS'],
  [24, 'I8'],
  [25, 'I16'],
  [26, 'I32'],
  [27, 'I64'],
  [28, 'F64'],
  [29, 'IQ1_M'],
  [34, 'TQ1_0'],
  [35, 'TQ2_0'],
  [39, 'MXFP4'],
]);

export const nameOfType = (type: number) => TENSOR_TYPES.get(type)?.name ?? UNREAD.get(type) ?? `number ${type}`;
