/**
 * Notices that somebody writes into the weights that a backend serves from. onnxruntime maps their
 * file: another's write changes the model under the digest that receipts name, and a file that was
 * cut ends the process at the next read.
 */
import { open } from 'node:fs/promises';

const EVERY_MS = 2_000;

export type WeightsWatch = {
  /** Resolves with what happened, once the file has another size or time of writing. */
  changed: Promise<string>;
  stop(): Promise<void>;
};

/**
 * Watches the file that is at `path` now. If another one is put in its place by renaming, that is
 * no change: the old one is still the one that is mapped.
 */
export async function watchWeights(
  path: string,
  { everyMs = EVERY_MS }: { everyMs?: number } = {},
): Promise<WeightsWatch> {
  const file = await open(path);
  const stamp = async () => {
    const { size, mtimeNs } = await file.stat({ bigint: true });
    return { size, mtimeNs };
  };
  const first = await stamp();
  const { promise: changed, resolve } = Promise.withResolvers<string>();
  let looking: Promise<void> = Promise.resolve();
  const look = async () => {
    const { size, mtimeNs } = await stamp();
    if (size !== first.size) resolve(`found ${size} bytes, wanted the ${first.size} that it had at the start`);
    else if (mtimeNs !== first.mtimeNs) resolve('found that somebody has written to it, wanted it as at the start');
  };
  const timer = setInterval(() => {
    looking = look().catch((error: unknown) => resolve(`it cannot be looked at any more: ${error}`));
  }, everyMs);
  timer.unref();
  return {
    changed,
    stop: async () => {
      clearInterval(timer);
      await looking;
      await file.close();
    },
  };
}
