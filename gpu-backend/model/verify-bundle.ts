/**
 * Checks a finished bundle without holding its weights, so that a machine can check a bundle that
 * does not fit its memory.
 */
import { BUNDLE_FILES, bundleDigest } from './bundle-files.ts';
import { type BundleHead, loadAdditions } from './load-bundle.ts';
import { findWeights } from './shared-base.ts';
import { openStoredBase } from './stored-base.ts';

/**
 * Returns the digest. `head` has been loaded from the same folder. Checks experts, routers, the
 * probe, and the names, types and shapes of all weights; it does not look at their numbers. Throws
 * a BundleError as loading does.
 *
 * @param onWeights gets the bytes of model.safetensors as they are read
 */
export async function verifyBundle(
  dir: string,
  head: BundleHead,
  options: { onWeights?: (bytes: Uint8Array) => void } = {},
): Promise<string> {
  await loadAdditions(dir, head);
  const file = BUNDLE_FILES.weights;
  await openStoredBase(await findWeights(dir, head.manifest), { file, ...head });
  return bundleDigest(dir, head.manifest, options);
}
