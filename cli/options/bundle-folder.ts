/** Adds the folder to an error about a bundle. The loader names only the file in the folder. */
import { BundleError } from '#gpu-backend/model/bundle-error.ts';

export async function inBundle<T>(dir: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if (!(error instanceof BundleError)) throw error;
    throw new Error(`the bundle in ${dir}: ${error.message}`, { cause: error });
  }
}
