/** A random tiny checkpoint with the names and shapes of MidPO's model class; see read-midpo.ts. */
import { tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { elementCount, type Tensor } from '#gpu-backend/model/tensor.ts';

/** The base, and what comes with it. */
export const base = tinyBundle();
export const { hidden_size: d, intermediate_size: F, num_hidden_layers: LAYERS } = base.config;
export const [RANK, WIDTH] = [4, 7];
export const inModel = (layer: number, gate: string) => `model.layers.${layer}.mlp.router_layers.${gate}_`;
export const inRouterFile = (layer: number, gate: string) => `layer_${layer}_${gate}`;

/** Numbers that look random and never change: those of a sine. */
let next = 0;
export const random = (shape: number[], scale: number): Tensor => ({
  shape,
  data: Float32Array.from({ length: elementCount(shape) }, () => scale * Math.sin(++next * 12.9898) ** 3),
});

/** The router alone: `inModel` or `inRouterFile` names its tensors. */
export function routerTensors(nameOf: typeof inModel): Map<string, Tensor> {
  next = 1000;
  const tensors = new Map<string, Tensor>();
  for (let layer = 0; layer < LAYERS; layer++) {
    for (const gate of ['alpha', 'beta']) {
      const shapes = [
        [WIDTH, F],
        [F, WIDTH],
        [1, F],
      ];
      for (const [i, shape] of shapes.entries()) {
        tensors.set(`${nameOf(layer, gate)}.linear_${i}.weight`, random(shape, 1));
        tensors.set(`${nameOf(layer, gate)}.linear_${i}.bias`, random([shape[0]!], 0.5));
      }
    }
  }
  return tensors;
}

/** The whole model: the base, both experts, the router. */
export function modelTensors(): Map<string, Tensor> {
  next = 0;
  const tensors = new Map(base.weights);
  for (let layer = 0; layer < LAYERS; layer++) {
    for (const lora of ['lora_0', 'lora_1']) {
      tensors.set(`model.layers.${layer}.mlp.${lora}.linear1.weight`, random([RANK, F], 0.3));
      tensors.set(`model.layers.${layer}.mlp.${lora}.linear2.weight`, random([d, RANK], 0.3));
    }
  }
  return new Map([...tensors, ...routerTensors(inModel)]);
}
