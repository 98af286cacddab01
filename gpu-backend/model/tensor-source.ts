/**
 * A checkpoint that is read one tensor at a time, so that memory is bounded by its largest tensor.
 * Opening a source reads and checks the header only. Drivers: `open-safetensors.ts`,
 * `open-sharded-safetensors.ts` and `../gguf/open-gguf.ts`. Every driver must pass
 * `testing/tensor-source-contract.ts`.
 */
import type { BufferPool } from './buffer-pool.ts';
import { CheckpointError } from './checkpoint-error.ts';

export type TensorInfo = {
  /** The type's name as its format spells it, such as `BF16` or `Q4_K`. */
  dtype: string;
  /** Row-major, as in Hugging Face's files: a linear weight is `[out, in]`. */
  shape: number[];
  /** Bytes in the file. */
  bytes: number;
};

export interface TensorSource {
  /** The name of the file in errors. */
  readonly file: string;
  names(): string[];
  /** Throws if there is no tensor of this name, as the two methods below do. */
  info(name: string): TensorInfo;
  /**
   * The tensor's numbers as f32. Refuses types that f32 cannot hold, such as integers. Buffers come
   * from the pool, if there is one, and the caller may give that of the result back to it.
   */
  read(name: string, pool?: BufferPool): Promise<Float32Array<ArrayBuffer>>;
  /** The tensor's bytes as they are in the file. The caller may keep and change them. */
  readBytes(name: string, pool?: BufferPool): Promise<Uint8Array<ArrayBuffer>>;
  /** Closes the file. It may be called twice; reading afterwards is an error. */
  close(): Promise<void>;
}

/** What every driver throws if a caller asks for a tensor that its file does not have. */
export function noSuchTensor(source: TensorSource, name: string): CheckpointError {
  const fault = {
    key: `tensor ${name}`,
    found: 'no tensor of this name',
    wanted: `one of the ${source.names().length} in the file`,
  };
  return new CheckpointError(source.file, fault);
}
