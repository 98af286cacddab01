import { BundleError } from './bundle-error.ts';
import { elementCount, formatShape, type Tensor } from './tensor.ts';

/**
 * Checks that exactly the wanted tensors are there, with the right shapes, and that every value is
 * a finite number.
 */
export function checkTensors(tensors: Map<string, Tensor>, wanted: Map<string, number[]>, file: string): void {
  for (const [name, shape] of wanted) {
    const tensor = tensors.get(name);
    if (!tensor) throw new BundleError(file, `tensor ${name}: missing, wanted shape ${formatShape(shape)}`);
    if (formatShape(tensor.shape) !== formatShape(shape)) {
      const found = formatShape(tensor.shape);
      throw new BundleError(file, `tensor ${name}: found shape ${found}, wanted ${formatShape(shape)}`);
    }
    for (let i = 0; i < elementCount(shape); i++) {
      if (!Number.isFinite(tensor.data[i])) {
        throw new BundleError(file, `tensor ${name}: found ${tensor.data[i]} at element ${i}, wanted finite numbers`);
      }
    }
  }
  for (const [name, { shape }] of tensors) {
    if (!wanted.has(name)) {
      throw new BundleError(file, `tensor ${name}: found shape ${formatShape(shape)}, wanted no tensor of this name`);
    }
  }
}
