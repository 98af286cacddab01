import { open } from 'node:fs/promises';

const CHUNK_BYTES = 2 ** 20;

/**
 * The bytes of a file from begin to end, while the next ones are being read. There are only two
 * buffers, so a chunk is good until the next one is asked for. A stream would take new memory for
 * every chunk, and a process with a large heap pays for that in garbage collection.
 */
export async function* fileChunks(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  const handle = await open(path);
  let reading: Promise<{ bytesRead: number; buffer: Uint8Array }> | undefined;
  try {
    let [current, next] = [new Uint8Array(CHUNK_BYTES), new Uint8Array(CHUNK_BYTES)];
    reading = handle.read(current, 0, CHUNK_BYTES, null);
    for (;;) {
      const { bytesRead } = await reading;
      if (bytesRead === 0) return;
      reading = handle.read(next, 0, CHUNK_BYTES, null);
      // It is awaited in the next round, or below.
      reading.catch(() => {});
      yield current.subarray(0, bytesRead);
      [current, next] = [next, current];
    }
  } finally {
    await reading?.catch(() => {});
    await handle.close();
  }
}
