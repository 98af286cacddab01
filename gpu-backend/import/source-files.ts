/**
 * The source's own files: their checksums, for the bundle's provenance, and whether anybody has
 * changed them meanwhile. The checksum is a pass of its own, before the one that reads the weights,
 * because those are read in the bundle's order, not in the file's.
 */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { CheckpointError } from '#gpu-backend/model/checkpoint-error.ts';
import { fileChunks } from '#gpu-backend/model/file-chunks.ts';

export type SourceFile = { name: string; bytes: number; sha256: string };
type Place = { name: string; path: string };

export class SourceFiles {
  /** What the system says of each file; another text once somebody has written to it. */
  readonly stamps: readonly string[];
  readonly #places: readonly Place[];

  private constructor(places: readonly Place[], stamps: readonly string[]) {
    this.#places = places;
    this.stamps = stamps;
  }

  /** Changes count from here on. */
  static async watch(places: readonly Place[]): Promise<SourceFiles> {
    return new SourceFiles(places, await stampsOf(places));
  }

  /** @param options.onBytes gets the bytes read so far, and all of them */
  async hash({
    onBytes,
    signal,
  }: {
    onBytes: (done: number, total: number) => void;
    signal: AbortSignal | undefined;
  }): Promise<SourceFile[]> {
    const sizes = await Promise.all(this.#places.map(async ({ path }) => (await stat(path)).size));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    const hashed: SourceFile[] = [];
    let done = 0;
    for (const [i, { name, path }] of this.#places.entries()) {
      const hash = createHash('sha256');
      for await (const chunk of fileChunks(path)) {
        signal?.throwIfAborted();
        hash.update(chunk);
        done += chunk.length;
        onBytes(done, total);
      }
      hashed.push({ name, bytes: sizes[i]!, sha256: hash.digest('hex') });
    }
    return hashed;
  }

  /** Throws a CheckpointError if somebody has written to a file, or put another in its place. */
  async assertUnchanged(): Promise<void> {
    const now = await stampsOf(this.#places);
    const changed = now.findIndex((stamp, i) => stamp !== this.stamps[i]);
    if (changed === -1) return;
    throw new CheckpointError(this.#places[changed]!.name, {
      what: 'the file changed while it was read',
      found: now[changed]!,
      wanted: `${this.stamps[changed]} as at the start; import it again`,
    });
  }
}

const stampsOf = (places: readonly Place[]): Promise<string[]> =>
  Promise.all(
    places.map(async ({ path }) => {
      const found = await stat(path, { bigint: true }).catch(() => null);
      return found === null
        ? 'no file'
        : `${found.size} bytes in inode ${found.ino}, written at ${Number(found.mtimeNs / 1_000n) / 1e6} s`;
    }),
  );
