/** Loads a trained router from a run of stage `router`, in the layout of a bundle. */
import { transposeMatrix } from '#gpu-backend/model/kernel-layout.ts';
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { NO_ROUTERS, type Routers } from '#gpu-backend/model/router.ts';
import { type RouterKind, routerShapes, type Variant } from '../graphs/router-graph.ts';
import type { Parameters } from '../optim/adamw.ts';
import { loadTrained } from '../run/checkpoint.ts';
import { assertSameModel, assertSameParents, type Parent } from './assert-same-model.ts';
import { type BaseModel, emptyTensors } from './base-model.ts';
import { ROUTER_FILE, RouterJson } from './router.ts';
import { readStageFile } from './stage-file.ts';

/**
 * Loads the routers of several runs. Two routers of the same kind are an error, and so is a router
 * that was trained on another base, or between other experts than `experts`.
 */
export async function loadRouters(
  dirs: readonly string[],
  base: BaseModel,
  experts: Readonly<Partial<Record<ExpertRole, Parent>>> = {},
): Promise<Routers> {
  const { config } = base;
  const routers = { ...NO_ROUTERS };
  for (const dir of dirs) {
    const file = { schema: RouterJson, stage: 'router' };
    const { kind, variant, width } = await readStageFile(dir, ROUTER_FILE, file);
    if (routers[kind] !== null)
      throw new Error(`${dir}: a second router of the kind ${kind}; a bundle holds one of each`);
    const parameters = emptyTensors(routerShapes(config, { kind, width }));
    const state = await loadTrained(dir, { parameters, stage: `router --kind ${kind}` });
    assertSameModel(dir, state, base);
    assertSameParents(dir, state, experts);
    Object.assign(routers, toBundle(kind, parameters, variant));
  }
  return routers;
}

/** Converts the graphs' layout to the bundle's. */
export function toBundle(kind: RouterKind, parameters: Parameters, variant: Variant): Partial<Routers> {
  const data = (name: string) => parameters.get(name)!.data;
  if (kind === 'logits') {
    const [inputs, width] = parameters.get('router.hidden.weight')!.shape as [number, number];
    return {
      logits: {
        width,
        hiddenWeight: transposeMatrix(data('router.hidden.weight'), inputs, width),
        hiddenBias: data('router.hidden.bias'),
        outWeight: data('router.out.weight'),
        outBias: data('router.out.bias')[0]!,
      },
    };
  }
  const layers = Array.from({ length: parameters.size / 2 }, (_, layer) => {
    // [F, 2], [2]
    const [weight, bias] = [data(`router.${layer}.weight`), data(`router.${layer}.bias`)];
    const gate = (column: 0 | 1) => ({
      weight: weight.filter((_, i) => i % 2 === column),
      bias: bias[column]!,
    });
    return { alpha: gate(0), beta: gate(1) };
  });
  return { layers: { variant, layers } };
}
