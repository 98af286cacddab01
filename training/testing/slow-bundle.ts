/**
 * A base with two experts in the form that the slow decoder reads: the training graphs' weights in
 * a bundle's layout. The slow decoder is the oracle for these graphs.
 */
import { transposeMatrix } from '#gpu-backend/model/kernel-layout.ts';
import type { Bundle } from '#gpu-backend/model/load-bundle.ts';
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import type { KernelTensor } from '#gpu-backend/model/serving-graph.ts';
import type { FrozenExpert } from '../graphs/lora.ts';
import type { Parameters } from '../optim/adamw.ts';
import { toHuggingFace } from '../stages/base-model.ts';
import { TINY } from './tiny-model.ts';

/** `rank` and `alpha` apply to both experts. Their outputs are scaled by alpha / rank. */
export function slowBundle(
  base: Parameters,
  { experts, rank, alpha }: { experts: Record<ExpertRole, FrozenExpert>; rank: number; alpha: number },
): Bundle {
  const turned = ({ shape, data }: KernelTensor) => {
    const [rows, columns] = shape as [number, number];
    return { shape: [columns, rows], data: transposeMatrix(data, rows, columns) };
  };
  const onDisk = (role: ExpertRole) => ({
    name: role,
    role,
    rank,
    alpha,
    modules: new Map(
      [...experts[role]].map(([name, { a, b }]) => [name, { a: turned(a), b: turned(b), scale: alpha / rank }]),
    ),
  });
  // The cast is safe: the slow decoder reads only these parts of a bundle.
  return {
    config: TINY,
    weights: toHuggingFace(base),
    experts: [onDisk('safety'), onDisk('helpfulness')],
  } as unknown as Bundle;
}
