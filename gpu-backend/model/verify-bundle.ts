/**
 * Checks everything that loading a bundle checks, but holds only one tensor at a time, so that a
 * machine can check a bundle that does not fit its memory.
 */
import { join } from 'node:path';
import { assertFinite } from './assert-finite.ts';
import { BUNDLE_FILES, bundleDigest } from './bundle-files.ts';
import { CheckpointError } from './checkpoint-error.ts';
import { weightShapes } from './config.ts';
import { loadBundleHead, loadExpert, loadRouters } from './load-bundle.ts';
import { openSafetensors } from './open-safetensors.ts';
import { isQuantisable, quantisedTensors } from './quantise.ts';
import { formatShape } from './tensor.ts';

/**
 * Returns the digest. Throws a BundleError as loading does.
 *
 * @param onBytes is told how much of the weights has been checked
 */
export async function verifyBundle(
  dir: string,
  {
    onBytes = () => {},
    signal,
  }: { onBytes?: (done: number, total: number) => void; signal?: AbortSignal | undefined } = {},
): Promise<string> {
  const head = await loadBundleHead(dir);
  for (const entry of head.manifest.experts) await loadExpert(dir, entry, head);
  await loadRouters(dir, head.manifest, head.config);
  const file = BUNDLE_FILES.weights;
  const tensors = await openSafetensors(join(dir, file), file);
  try {
    const wanted = storedShapes(head);
    const names = new Set(tensors.names());
    const total = [...names].reduce((sum, name) => sum + tensors.info(name).bytes, 0);
    let done = 0;
    for (const name of new Set([...wanted.keys(), ...names])) {
      const found = names.has(name) ? tensors.info(name).shape : undefined;
      checkShape(found, wanted.get(name), { file, key: `tensor ${name}` });
    }
    for (const name of names) {
      signal?.throwIfAborted();
      const { dtype, bytes } = tensors.info(name);
      if (dtype === 'F32' || dtype === 'F16' || dtype === 'BF16') {
        assertFinite(await tensors.readBytes(name), dtype, { file, key: `tensor ${name}` });
      }
      done += bytes;
      onBytes(done, total);
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
function storedShapes({ config, manifest }: Awaited<ReturnType<typeof loadBundleHead>>): Map<string, number[]> {
  const type = manifest.weights?.type;
  return new Map(
    [...weightShapes(config)].flatMap(([name, shape]): [string, number[]][] => {
      if (type === undefined || !isQuantisable(shape)) return [[name, shape]];
      const [rows, columns] = shape as [number, number];
      return Object.values(quantisedTensors(name, [rows, columns], type)).map((part) => [part.name, part.shape]);
    }),
  );
}
