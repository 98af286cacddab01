/** The one check of what a file of weights holds, against what its config says it must. */
import { CheckpointError } from './checkpoint-error.ts';
import { assertFinite } from './finite-check.ts';
import { formatShape, type Tensor } from './tensor.ts';

/**
 * Checks that exactly the wanted tensors are there, with the right shapes. Throws a
 * CheckpointError that names the first fault.
 *
 * @param why ends the message about a shape: who says that it must be so
 */
export function checkShapes(
  found: ReadonlyMap<string, { shape: readonly number[] }>,
  wanted: ReadonlyMap<string, readonly number[]>,
  { file, why = '' }: { file: string; why?: string },
): void {
  const refuse = (name: string, found: string, wanted: string) =>
    new CheckpointError(file, { key: `tensor ${name}`, found, wanted });
  for (const [name, shape] of wanted) {
    const tensor = found.get(name);
    if (tensor === undefined) throw refuse(name, 'no tensor of this name', `shape ${formatShape(shape)}`);
    if (formatShape(tensor.shape) === formatShape(shape)) continue;
    throw refuse(name, `shape ${formatShape(tensor.shape)}`, `${formatShape(shape)}${why}`);
  }
  for (const [name, { shape }] of found) {
    if (!wanted.has(name)) throw refuse(name, `shape ${formatShape(shape)}`, 'no tensor of this name');
  }
}

/** Checks names and shapes, and that every number is finite. */
export function checkTensors(
  tensors: ReadonlyMap<string, Tensor>,
  wanted: ReadonlyMap<string, readonly number[]>,
  file: string,
): void {
  checkShapes(tensors, wanted, { file });
  for (const [name, { data }] of tensors) assertFinite(data, 'F32', { file, key: `tensor ${name}` });
}
