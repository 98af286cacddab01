/**
 * Reads safetensors (https://github.com/huggingface/safetensors): eight bytes of header length, a
 * JSON header of `name -> {dtype, shape, data_offsets}`, then the tensors' bytes back to back. It
 * reads only F16 and F32, the types a bundle may have. Before it reads any tensor, it checks
 * everything the header claims against the file.
 */
import { type FileHandle, open } from 'node:fs/promises';
import * as z from 'zod';
import { BundleError } from './bundle-error.ts';
import { decodeHalf } from './half.ts';
import { elementCount, formatShape, type Tensor } from './tensor.ts';

const BYTES = { F16: 2, F32: 4 } as const;
/** The format's own limit. A longer header is garbage. */
const MAX_HEADER_BYTES = 100_000_000;
/** Node refuses to read more than 2 GiB at once. */
const MAX_READ_BYTES = 2 ** 30;

const Entry = z.object({
  dtype: z.string(),
  shape: z.array(z.int().min(0)),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
});
type Entry = { dtype: keyof typeof BYTES; shape: number[]; begin: number; end: number };

async function readExactly(handle: FileHandle, bytes: Uint8Array, position: number): Promise<boolean> {
  let done = 0;
  while (done < bytes.byteLength) {
    const { bytesRead } = await handle.read(
      bytes,
      done,
      Math.min(bytes.byteLength - done, MAX_READ_BYTES),
      position + done,
    );
    if (bytesRead === 0) return false;
    done += bytesRead;
  }
  return true;
}

function parseEntries(json: string, file: string): Map<string, Entry> {
  let header: unknown;
  try {
    header = JSON.parse(json);
  } catch (cause) {
    throw new BundleError(file, 'the safetensors header is not JSON', { cause });
  }
  const parsed = z.record(z.string(), z.unknown()).safeParse(header);
  if (!parsed.success) throw new BundleError(file, 'the safetensors header is not an object');
  const entries = new Map<string, Entry>();
  for (const [name, raw] of Object.entries(parsed.data)) {
    if (name === '__metadata__') continue;
    const entry = Entry.safeParse(raw);
    if (!entry.success) throw new BundleError(file, `tensor ${name}: its header entry is malformed`);
    const { dtype, shape, data_offsets } = entry.data;
    if (dtype !== 'F16' && dtype !== 'F32') {
      throw new BundleError(file, `tensor ${name}: found type ${dtype}, wanted F16 or F32`);
    }
    const [begin, end] = data_offsets;
    const wanted = elementCount(shape) * BYTES[dtype];
    if (end - begin !== wanted) {
      const found = `${end - begin} bytes in data_offsets`;
      throw new BundleError(
        file,
        `tensor ${name}: found ${found}, wanted ${wanted} for ${dtype} ${formatShape(shape)}`,
      );
    }
    entries.set(name, { dtype, shape, begin, end });
  }
  return entries;
}

/** The tensors must cover the data exactly: no hole, no overlap, nothing missing at the end. */
function checkCoverage(entries: Map<string, Entry>, dataBytes: number, file: string): void {
  let position = 0;
  const inOrder = [...entries].sort(([, a], [, b]) => a.begin - b.begin);
  for (const [name, { begin, end }] of inOrder) {
    if (begin !== position) {
      throw new BundleError(file, `tensor ${name}: its data begins at byte ${begin}, wanted ${position}`);
    }
    position = end;
  }
  if (position > dataBytes) {
    throw new BundleError(file, `truncated: found ${dataBytes} bytes of tensor data, wanted ${position}`);
  }
  if (position < dataBytes) {
    throw new BundleError(file, `found ${dataBytes} bytes of tensor data, wanted ${position}: no tensor owns the rest`);
  }
}

/** Reads all tensors of one file as f32. Errors name the file as `file`, by default its path. */
export async function readSafetensors(path: string, file: string = path): Promise<Map<string, Tensor>> {
  const handle = await open(path).catch((cause: unknown) => {
    throw new BundleError(file, 'the file is missing or cannot be read', { cause });
  });
  try {
    const { size } = await handle.stat();
    const lengthBytes = new Uint8Array(8);
    if (!(await readExactly(handle, lengthBytes, 0))) throw new BundleError(file, `truncated: found ${size} bytes`);
    const headerBytes = Number(new DataView(lengthBytes.buffer).getBigUint64(0, true));
    if (headerBytes > MAX_HEADER_BYTES || 8 + headerBytes > size) {
      throw new BundleError(
        file,
        `truncated or not safetensors: ${size} bytes, its header alone claims ${headerBytes}`,
      );
    }
    const header = new Uint8Array(headerBytes);
    await readExactly(handle, header, 8);
    const entries = parseEntries(new TextDecoder().decode(header), file);
    const dataStart = 8 + headerBytes;
    checkCoverage(entries, size - dataStart, file);

    const tensors = new Map<string, Tensor>();
    for (const [name, { dtype, shape, begin, end }] of entries) {
      const bytes = new Uint8Array(end - begin);
      if (!(await readExactly(handle, bytes, dataStart + begin)))
        throw new BundleError(file, `tensor ${name}: truncated`);
      const data = dtype === 'F32' ? new Float32Array(bytes.buffer) : decodeHalf(new Uint16Array(bytes.buffer));
      tensors.set(name, { shape, data });
    }
    return tensors;
  } finally {
    await handle.close();
  }
}
