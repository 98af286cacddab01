/**
 * Checks a finished bundle without holding its weights, so that a machine can check a bundle that
 * does not fit its memory.
 */
import { join } from 'node:path';
import { BUNDLE_FILES, bundleDigest } from './bundle-files.ts';
import { CheckpointError } from './checkpoint-error.ts';
import { weightShapes } from './config.ts';
import { type BundleHead, loadExpertsAndRouters } from './load-bundle.ts';
import { openSafetensors } from './open-safetensors.ts';
import { isQuantisable, quantisedTensors } from './quantise.ts';
import { formatShape } from './tensor.ts';

/**
 * Returns the digest. `head` has been loaded from the same folder. Checks experts, routers, and the
 * names, types and shapes of all weights; it does not look at their numbers. Throws a BundleError
 * as loading does.
 */
export async function verifyBundle(dir: string, head: BundleHead): Promise<string> {
  await loadExpertsAndRouters(dir, head);
  const file = BUNDLE_FILES.weights;
  const tensors = await openSafetensors(join(dir, file), file);
  try {
    const wanted = storedShapes(head);
    const names = new Set(tensors.names());
    for (const name of new Set([...wanted.keys(), ...names])) {
      const found = names.has(name) ? tensors.info(name).shape : undefined;
      checkShape(found, wanted.get(name), { file, key: `tensor ${name}` });
    }
  } finally {
    await tensors.close();
  }
  return bundleDigest(dir, head.manifest);
}

type Shape = readonly number[] | undefined;

function checkShape(found: Shape, wanted: Shape, { file, key }: { file: string; key: string }): void {
  const said = (shape: Shape) => (shape === undefined ? 'no tensor of this name' : `shape ${formatShape(shape)}`);
  if (said(found) !== said(wanted)) throw new CheckpointError(file, { key, found: said(found), wanted: said(wanted) });
}

/** Names and shapes in model.safetensors, whose matrices may be quantised. */
function storedShapes({ config, manifest }: BundleHead): Map<string, number[]> {
  const type = manifest.weights?.type;
  return new Map(
    [...weightShapes(config)].flatMap(([name, shape]): [string, number[]][] => {
      if (type === undefined || !isQuantisable(shape)) return [[name, shape]];
      const [rows, columns] = shape as [number, number];
      return Object.values(quantisedTensors(name, [rows, columns], type)).map((part) => [part.name, part.shape]);
    }),
  );
}
