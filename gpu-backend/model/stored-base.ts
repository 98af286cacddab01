/**
 * The base's weights as model.safetensors holds them, which serving reads in place: the graph
 * refers to tensors by their place in the file, and onnxruntime maps it. The checks here see types,
 * names and shapes only; `finite-check.ts` sees every number.
 */
import { realpath } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { checkShapes } from './check-tensors.ts';
import { CheckpointError } from './checkpoint-error.ts';
import { type DecoderConfig, weightShapes } from './config.ts';
import type { Manifest } from './manifest.ts';
import { openSafetensors, type SafetensorsSource } from './open-safetensors.ts';
import { isQuantisable, type QuantisedType, quantisedTensors } from './quantise.ts';
import { typeOfQuants, usualType } from './quantised-types.ts';

export type StoredTensor = {
  dtype: string;
  shape: number[];
  /** Where its bytes are in the file. */
  offset: number;
  bytes: number;
};

export type StoredBase = {
  /** The folder and the name in it of the file itself, not of a link to it. */
  folder: string;
  file: string;
  tensors: ReadonlyMap<string, StoredTensor>;
  /** null for floats. */
  quantised: NonNullable<Manifest['weights']> | null;
};

/** What one tensor of model.safetensors must be. */
export type StoredShape = { dtypes: readonly string[]; shape: number[] };

const FLOATS = ['F32', 'F16', 'BF16'];

/**
 * The tensors of model.safetensors by name. In a quantised bundle, each matrix whose rows are whole
 * blocks is three of them.
 *
 * @param typeOf the type of a matrix; by default what an import gives it
 */
export function storedShapes(
  config: DecoderConfig,
  { weights }: Pick<Manifest, 'weights'>,
  typeOf: (name: string, type: QuantisedType) => QuantisedType = usualType,
): Map<string, StoredShape> {
  const shapes = new Map<string, StoredShape>();
  for (const [name, shape] of weightShapes(config)) {
    if (weights === undefined || !isQuantisable(shape)) {
      shapes.set(name, { dtypes: FLOATS, shape });
      continue;
    }
    // isQuantisable says that it is a matrix.
    const [rows, columns] = shape as [number, number];
    for (const part of Object.values(quantisedTensors(name, [rows, columns], typeOf(name, weights.type)))) {
      shapes.set(part.name, { dtypes: [part.dtype], shape: part.shape });
    }
  }
  return shapes;
}

/**
 * Checks that the file has exactly the tensors of this bundle. Each matrix has the manifest's type,
 * or int8. Throws a CheckpointError that names the first fault.
 */
export function checkStored(
  source: Pick<SafetensorsSource, 'names' | 'info'>,
  { file, config, manifest }: { file: string; config: DecoderConfig; manifest: Pick<Manifest, 'weights'> },
): void {
  const names = new Set(source.names());
  const wanted = storedShapes(config, manifest, (name, type) => {
    const { quants } = quantisedTensors(name, [0, 0], type);
    return names.has(quants.name) && typeOfQuants(source.info(quants.name).shape) === 'int8' ? 'int8' : type;
  });
  checkShapes(
    new Map(source.names().map((name) => [name, source.info(name)])),
    new Map([...wanted].map(([name, { shape }]) => [name, shape])),
    { file },
  );
  for (const [name, { dtypes }] of wanted) {
    const { dtype } = source.info(name);
    if (dtypes.includes(dtype)) continue;
    throw new CheckpointError(file, { key: `tensor ${name}`, found: `type ${dtype}`, wanted: dtypes.join(', ') });
  }
}

/** Reads the header of the file at `path` and checks it. Errors name it as `file`. */
export async function openStoredBase(
  path: string,
  { file, config, manifest }: { file: string; config: DecoderConfig; manifest: Manifest },
): Promise<StoredBase> {
  const source = await openSafetensors(path, file);
  try {
    checkStored(source, { file, config, manifest });
    const tensors = new Map(
      source.names().map((name): [string, StoredTensor] => {
        return [name, { ...source.info(name), offset: source.offset(name) }];
      }),
    );
    // onnxruntime refuses a file that lies, through a link, outside the folder it is told.
    const real = await realpath(path);
    return { folder: dirname(real), file: basename(real), tensors, quantised: manifest.weights ?? null };
  } finally {
    await source.close();
  }
}
