/** Writes `model.safetensors` from a plan, one tensor at a time. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { BufferPool } from '#gpu-backend/model/buffer-pool.ts';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { assertRoom, diskFull } from '#gpu-backend/model/disk-full.ts';
import { RandomAccessFile } from '#gpu-backend/model/random-access-file.ts';
import {
  layOutSafetensors,
  type PlannedTensor,
  type SafetensorsLayout,
  SafetensorsWriter,
} from '#gpu-backend/model/safetensors-writer.ts';
import { ImportJournal } from './import-journal.ts';
import { exists } from './read-text.ts';
import type { PlannedWeight } from './weight-plan.ts';

export type WriteOptions = {
  /** Identifies the source. Tensors of an earlier run are kept only if it had the same. */
  source: string;
  onBytes: (done: number, total: number) => void;
  signal: AbortSignal | undefined;
};

/** Leaves out what an earlier run has written to the same folder. */
export async function writeWeights(
  folder: string,
  plan: readonly PlannedWeight[],
  { source, onBytes, signal }: WriteOptions,
): Promise<void> {
  const file = BUNDLE_FILES.weights;
  const path = join(folder, file);
  const layout = layOutSafetensors(plan.flatMap(({ outputs }) => outputs));
  const of = createHash('sha256').update(source).update(layout.head).digest('hex');
  const journal = await ImportJournal.open(folder, of);
  const kept = await intact(path, layout, journal.written);
  let done = layout.head.byteLength;
  const missing = [...layout.places].filter(([name]) => !kept.has(name));
  await assertRoom({ file, path: folder, bytes: missing.reduce((sum, [, { bytes }]) => sum + bytes, 0) });
  const writer = await SafetensorsWriter.open(path, layout, { file, resume: kept.size > 0 });
  const pool = new BufferPool();
  const write = async (outputs: readonly PlannedTensor[], parts: readonly Uint8Array<ArrayBuffer>[]) => {
    for (const [i, { name }] of outputs.entries()) {
      const part = parts[i]!;
      const writing = writer.write(name, part);
      const sum = crc32(part);
      await writing;
      await journal.add(name, sum).catch(async (cause: unknown) => {
        throw (await diskFull(cause, { file, path: folder, bytes: layout.bytes - done })) ?? cause;
      });
      if (part.byteLength === part.buffer.byteLength) pool.give(part.buffer);
    }
  };
  /** The disk writes one tensor while the next one is read and converted. */
  let writing = Promise.resolve();
  try {
    for (const { outputs, encode } of plan) {
      signal?.throwIfAborted();
      if (!outputs.every(({ name }) => kept.has(name))) {
        const parts = await encode(pool);
        await writing;
        writing = write(outputs, parts);
        // It is awaited below. Until then, nobody listens.
        writing.catch(() => {});
      }
      for (const { name } of outputs) done += layout.places.get(name)!.bytes;
      onBytes(done, layout.bytes);
    }
    await writing;
    await writer.sync();
  } finally {
    // If this has failed, it has thrown above, or something else has before it.
    await writing.catch(() => {});
    await writer.close();
  }
}

/** The tensors whose bytes are in the file as the journal says. */
async function intact(
  path: string,
  layout: SafetensorsLayout,
  written: ReadonlyMap<string, number>,
): Promise<ReadonlySet<string>> {
  const kept = new Set<string>();
  if (written.size === 0 || !(await exists(path))) return kept;
  const opened = await RandomAccessFile.open(path, BUNDLE_FILES.weights);
  try {
    for (const [name, sum] of written) {
      const place = layout.places.get(name);
      if (place === undefined || place.begin + place.bytes > opened.size) continue;
      if (crc32(await opened.read(place.begin, place.bytes, `tensor ${name}`)) === sum) kept.add(name);
    }
  } finally {
    await opened.close();
  }
  return kept;
}
