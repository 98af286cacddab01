/**
 * Where models lie that were fetched or imported. Everything in it can be fetched again, and
 * everything appears whole or not at all.
 */
import path from 'node:path';
import envPaths from 'env-paths';

export type CacheFolder = {
  dir: string;
  /** Whole, verified files, each named by its SHA-256. */
  blobs: string;
  /** Imported bundles, each in a folder with its name. */
  bundles: string;
  /** Files of a hub's repositories, in `<owner>/<repository>/<commit>`. */
  hub: string;
  /** One folder for each thing that only one process at a time may fetch. */
  locks: string;
};

/** The folder that `PLIMSOLL_CACHE` names, else `plimsoll` in the user's cache folder. */
export function cacheFolder({ PLIMSOLL_CACHE }: { PLIMSOLL_CACHE?: string | undefined }): CacheFolder {
  const dir = path.resolve(PLIMSOLL_CACHE || envPaths('plimsoll', { suffix: '' }).cache);
  const inside = (name: string) => path.join(dir, name);
  return { dir, blobs: inside('blobs'), bundles: inside('bundles'), hub: inside('hub'), locks: inside('locks') };
}
