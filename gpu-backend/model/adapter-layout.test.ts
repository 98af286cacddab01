import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { adapterConfigJson, type Expert, type ExpertModule } from './adapter.ts';
import { AdapterConfig } from './adapter-config.ts';
import { adapterLayout } from './adapter-layout.ts';
import type { DecoderConfig } from './config.ts';
import { tinyBundle } from './fixtures/tiny-bundle.ts';
import { linearModules } from './linear-modules.ts';
import { loadBundle } from './load-bundle.ts';

const llama: DecoderConfig = { ...tinyBundle().config, num_hidden_layers: 12 };
const PLAIN = { peft_type: 'LORA', r: 8, lora_alpha: 16, target_modules: ['down_proj'] };
const MODULES = [...linearModules(llama).keys()];
const KINDS = [...new Set([...linearModules(llama).values()].map(({ kind }) => kind))];
const LAYERS = [...new Set([...linearModules(llama).values()].map(({ layer }) => layer))];

type One = { rank: number; scale: number };
const layoutOf = (config: object, of = llama) =>
  Object.fromEntries(adapterLayout(AdapterConfig.parse({ ...PLAIN, ...config }), of, 'file'));
const everyDownProj = (one: One) =>
  Object.fromEntries(MODULES.filter((name) => name.endsWith('.down_proj')).map((name) => [name, one]));

/**
 * What PEFT's own code makes of a config for a decoder of 12 layers (test/clients/peft-layouts.py):
 * by kind of module, rank and scale by layer, null if it leaves the layer alone. `modules` is null
 * if it changes a module that is not served or none, or if the versions 0.13, 0.14 and 0.20
 * disagree and the config does not say which one wrote it.
 */
type Case = { config: object; modules: Record<string, ([rank: number, scale: number] | null)[]> | null };
const cases = readFileSync(new URL('./fixtures/peft-layouts.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Case);

test.each(cases)('reads like PEFT: $config', ({ config, modules }) => {
  if (modules === null) {
    expect(() => layoutOf(config)).toThrow(/^file: (target_modules|rank_pattern|alpha_pattern): /);
    return;
  }
  const wanted = Object.entries(modules).flatMap(([kind, layers]) =>
    layers.flatMap((one, layer) => (one ? [[`model.layers.${layer}.${kind}`, { rank: one[0], scale: one[1] }]] : [])),
  );
  expect(layoutOf(config)).toEqual(Object.fromEntries(wanted));
});

test('the scale is alpha / r, and alpha / sqrt(r) with use_rslora', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 512 }), fc.double({ min: 0.1, max: 1e3, noNaN: true }), (r, lora_alpha) => {
      expect(layoutOf({ r, lora_alpha })).toEqual(everyDownProj({ rank: r, scale: lora_alpha / r }));
      expect(layoutOf({ r, lora_alpha, use_rslora: true })).toEqual(
        everyDownProj({ rank: r, scale: lora_alpha / Math.sqrt(r) }),
      );
    }),
  );
});

/**
 * PEFT's rules for lists and whole names, once more and without any regular expression: a name is
 * selected if it is an entry or ends with `.` and an entry, and the first pattern of which this is
 * true gives its value.
 */
function slowLayout(config: {
  targets: string[];
  excluded: string[];
  ranks: Record<string, number>;
  alphas: Record<string, number>;
}): Record<string, One> {
  const endsWith = (name: string, end: string) => name === end || name.slice(-end.length - 1) === `.${end}`;
  const firstOf = (name: string, values: Record<string, number>, otherwise: number) => {
    for (const [end, value] of Object.entries(values)) if (endsWith(name, end)) return value;
    return otherwise;
  };
  const layout: Record<string, One> = {};
  for (const name of MODULES) {
    if (!config.targets.some((end) => endsWith(name, end))) continue;
    if (config.excluded.some((end) => endsWith(name, end))) continue;
    const rank = firstOf(name, config.ranks, PLAIN.r);
    layout[name] = { rank, scale: firstOf(name, config.alphas, PLAIN.lora_alpha) / rank };
  }
  return layout;
}

test('random targets, exclusions and patterns over all modules give what a plain rule gives', () => {
  const suffix = fc
    .tuple(fc.constantFrom(...MODULES), fc.integer({ min: 1, max: 5 }))
    .map(([name, parts]) => name.split('.').slice(-parts).join('.'));
  const values = (least: number) => fc.dictionary(suffix, fc.integer({ min: least, max: 64 }), { maxKeys: 4 });
  fc.assert(
    fc.property(
      fc.array(suffix, { minLength: 1, maxLength: 5 }),
      fc.array(suffix, { maxLength: 2 }),
      values(1),
      values(1),
      (targets, excluded, ranks, alphas) => {
        const wanted = slowLayout({ targets, excluded, ranks, alphas });
        const config = {
          peft_version: '0.20.0',
          target_modules: targets,
          exclude_modules: excluded,
          rank_pattern: ranks,
          alpha_pattern: alphas,
        };
        if (Object.keys(wanted).length === 0) expect(() => layoutOf(config)).toThrow(/^file: target_modules: /);
        else expect(layoutOf(config)).toEqual(wanted);
      },
    ),
  );
});

test('a rank and a scale of its own for each module survive writing and reading', () => {
  const one = fc.record({
    rank: fc.integer({ min: 1, max: 64 }),
    scale: fc.double({ min: 0.01, max: 8, noNaN: true }),
  });
  // All modules of some kinds in some layers, or any modules at all.
  const regular = fc
    .tuple(fc.subarray(KINDS, { minLength: 1 }), fc.subarray(LAYERS, { minLength: 1 }))
    .map(([kinds, layers]) =>
      MODULES.filter((name) => layers.some((l) => kinds.some((k) => name.endsWith(`.${l}.${k}`)))),
    );
  const names = fc.oneof(regular, fc.subarray(MODULES, { minLength: 1 }));
  const layout = names.chain((some) => fc.tuple(...some.map((name) => fc.tuple(fc.constant(name), one))));
  fc.assert(
    fc.property(layout, fc.integer({ min: 1, max: 64 }), (wanted, rank) => {
      const modules = wanted.map(([name, { rank, scale }]): [string, ExpertModule] => {
        const none = new Float32Array();
        return [name, { a: { shape: [rank, 48], data: none }, b: { shape: [32, rank], data: none }, scale }];
      });
      const expert: Expert = { name: 'safety', role: 'safety', rank, alpha: 16, modules: new Map(modules) };
      const found = layoutOf(JSON.parse(JSON.stringify(adapterConfigJson(expert, llama))));
      expect(Object.keys(found)).toEqual(wanted.map(([name]) => name));
      for (const [name, { rank, scale }] of wanted) {
        expect(found[name]!.rank).toBe(rank);
        // The file has alpha, so the scale is rounded on the way there and on the way back.
        expect(Math.abs(found[name]!.scale / scale - 1)).toBeLessThan(1e-15);
      }
    }),
  );
});

test('writes short names, and layers only if they are not all', () => {
  const write = (names: readonly string[]) => {
    const lora = {
      a: { shape: [8, 48], data: new Float32Array() },
      b: { shape: [32, 8], data: new Float32Array() },
      scale: 2,
    };
    const modules = new Map(names.map((name) => [name, lora]));
    return adapterConfigJson({ rank: 8, alpha: 16, modules }, llama);
  };
  const ending = (...ends: string[]) => MODULES.filter((name) => ends.some((end) => name.endsWith(end)));
  expect(write(ending('q_proj', 'v_proj'))).toMatchObject({ target_modules: ['q_proj', 'v_proj'] });
  expect(write(ending('q_proj', 'v_proj'))).not.toHaveProperty('layers_to_transform');
  expect(write(ending('.2.mlp.down_proj', '.5.mlp.down_proj'))).toMatchObject({
    target_modules: ['down_proj'],
    layers_to_transform: [2, 5],
  });
  const uneven = ['model.layers.2.mlp.up_proj', 'model.layers.5.mlp.down_proj'];
  expect(write(uneven)).toMatchObject({ target_modules: uneven });
});

test('the released experts get the adapter_config.json that they have', async () => {
  const dir = fileURLToPath(new URL('../../models/demo', import.meta.url));
  const { experts, config } = await loadBundle(dir);
  for (const expert of experts) {
    const file = readFileSync(join(dir, 'experts', expert.name, 'adapter_config.json'), 'utf8');
    expect(`${JSON.stringify(adapterConfigJson(expert, config), null, 2)}\n`).toBe(file);
  }
});

test.each<[string, object, string]>([
  [
    'other modules',
    { target_modules: ['down_proj', 'input_layernorm', 'embed_tokens', 'lm_head'] },
    'target_modules: found ["down_proj","input_layernorm","embed_tokens","lm_head"], wanted only linear modules of the layers (q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj): it also selects model.embed_tokens, input_layernorm, lm_head',
  ],
  [
    'modules that are not there',
    { target_modules: ['c_proj'] },
    'target_modules: found ["c_proj"], wanted at least one of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj: it selects no module of this decoder',
  ],
  [
    'modules that are all excluded',
    { exclude_modules: 'model.*' },
    'target_modules: found ["down_proj"], wanted at least one of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj: it selects no module of this decoder',
  ],
  [
    'layers that are not there',
    { layers_to_transform: [3, 12] },
    'layers_to_transform: found [3,12], wanted layers of this decoder, 0 to 11',
  ],
  [
    'layers next to a regular expression',
    { target_modules: '.*down_proj', layers_to_transform: 3 },
    'layers_to_transform: found [3], wanted null, as for PEFT, because target_modules is a regular expression',
  ],
  [
    'a pattern for layers, but no layers',
    { layers_pattern: 'layers' },
    'layers_pattern: found "layers", wanted null, as for PEFT, because layers_to_transform is not set',
  ],
  ...['(?P<x>.*)down_proj', '.*down_proj\\Z', '(?i).*DOWN_PROJ', '(.)\\1*down_proj', '.*+down_proj', '('].map(
    (target_modules): [string, object, string] => [
      `the regular expression ${target_modules}, which JavaScript reads otherwise`,
      { target_modules },
      `target_modules: found ${JSON.stringify(target_modules)}, wanted a regular expression that Python and JavaScript read alike`,
    ],
  ),
  [
    'a pattern that the versions of PEFT read differently',
    { rank_pattern: { 'layers.3.mlp.down_proj': 4 }, alpha_pattern: { down_proj: 8 } },
    'alpha_pattern: found {"down_proj":8}, wanted patterns that every version of PEFT reads alike: for model.layers.3.mlp.down_proj they give 8 or 16',
  ],
])('refuses %s', (_what, config, message) => {
  expect(() => layoutOf(config)).toThrow(`file: ${message}`);
});
