import { expect, test } from 'vitest';
import { tinyBundle } from '../model/fixtures/tiny-bundle.ts';
import { sharedLayers } from './shared-layers.ts';

const keepOnly = (bundle: ReturnType<typeof tinyBundle>, isKept: (module: string) => boolean) => ({
  ...bundle,
  experts: bundle.experts.map((expert) => ({
    ...expert,
    modules: new Map([...expert.modules].filter(([name]) => isKept(name))),
  })),
});

test.each([
  ['mlp.down_proj', 1],
  ['self_attn.o_proj', 1],
  ['self_attn.q_proj', 1],
  ['self_attn.k_proj', 0],
  ['self_attn.v_proj', 0],
])('experts that change %s in every layer share %d layers', (target, layers) => {
  expect(sharedLayers(tinyBundle({ targets: [target] }))).toBe(layers);
});

test('layers below the lowest adapter are shared, and without adapters all are', () => {
  const second = (target: string) =>
    sharedLayers(keepOnly(tinyBundle({ targets: [target] }), (name) => name.startsWith('model.layers.1.')));
  expect(second('mlp.down_proj')).toBe(2);
  expect(second('self_attn.v_proj')).toBe(1);
  expect(sharedLayers(keepOnly(tinyBundle(), () => false))).toBe(2);
});

test('one expert that changes them is enough', () => {
  const bundle = tinyBundle({ targets: ['mlp.down_proj', 'self_attn.k_proj'] });
  const [first, second] = keepOnly(bundle, (name) => name.endsWith('down_proj')).experts;
  expect(sharedLayers({ ...bundle, experts: [first!, bundle.experts[1]!] })).toBe(0);
  expect(sharedLayers({ ...bundle, experts: [first!, second!] })).toBe(1);
});
