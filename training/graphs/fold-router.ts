/**
 * MidPO's router as published: three linear layers and a sigmoid, with nothing between the layers. Such a stack is one linear layer,
 *
 *   W3 (W2 (W1 h + b1) + b2) + b3 = (W3 W2 W1) h + (W3 (W2 b1 + b2) + b3),
 *
 * which is how it is trained, kept and served here: F + 1 numbers for each gate, not 2 * F * 512 of them.
 */
import type { KernelTensor } from '#gpu-backend/model/decoder.ts';

/** `weight [in, out]`, `bias [out]`. */
export type Linear = { weight: KernelTensor; bias: Float32Array };

/** The layers, first to last, as one. Computed in float64. */
export function foldLinears(layers: readonly [Linear, ...Linear[]]): Linear {
  return layers.slice(1).reduce<Linear>((folded, next) => compose(folded, next), layers[0]);
}

function compose(first: Linear, second: Linear): Linear {
  const [inputs, middle] = first.weight.shape as [number, number];
  const [expected, outputs] = second.weight.shape as [number, number];
  if (middle !== expected) throw new Error(`a linear layer of ${middle} outputs cannot feed one of ${expected} inputs`);
  const product = (row: (k: number) => number, column: number) => {
    let sum = 0;
    for (let k = 0; k < middle; k++) sum += row(k) * second.weight.data[k * outputs + column]!;
    return sum;
  };
  const data = Float32Array.from({ length: inputs * outputs }, (_, i) =>
    product((k) => first.weight.data[Math.floor(i / outputs) * middle + k]!, i % outputs),
  );
  const bias = Float32Array.from({ length: outputs }, (_, j) => product((k) => first.bias[k]!, j) + second.bias[j]!);
  return { weight: { shape: [inputs, outputs], data }, bias };
}
