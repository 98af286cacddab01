import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { adapterConfigJson, type Expert, type ExpertLayer } from './adapter.ts';
import { AdapterConfig } from './adapter-config.ts';
import { adapterLayout, type LayerLora } from './adapter-layout.ts';
import type { DecoderConfig } from './config.ts';
import { tinyBundle } from './fixtures/tiny-bundle.ts';

const llama: DecoderConfig = { ...tinyBundle().config, num_hidden_layers: 12 };
const PLAIN = { peft_type: 'LORA', r: 8, lora_alpha: 16, target_modules: ['down_proj'] };

const layoutOf = (config: object, of = llama) =>
  adapterLayout(AdapterConfig.parse({ ...PLAIN, ...config }), of, 'file');
const every = (layer: LayerLora) => Array.from({ length: 12 }, () => layer);

/**
 * What PEFT's own code makes of a config for a decoder of 12 layers: rank and scale by layer, null
 * if it leaves the layer alone. `layers` is null if it changes another module or none, or if the
 * versions 0.13, 0.14 and 0.20 disagree and the config does not say which one wrote it.
 */
type Case = { config: object; layers: ([rank: number, scale: number] | null)[] | null };
const cases = readFileSync(new URL('./fixtures/peft-layouts.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Case);

test.each(cases)('reads like PEFT: $config', ({ config, layers }) => {
  if (layers === null) expect(() => layoutOf(config)).toThrow(/^file: (target_modules|rank_pattern|alpha_pattern): /);
  else expect(layoutOf(config)).toEqual(layers.map((one) => ({ rank: one?.[0] ?? 0, scale: one?.[1] ?? 0 })));
});

test('the scale is alpha / r, and alpha / sqrt(r) with use_rslora', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 512 }), fc.double({ min: 0.1, max: 1e3, noNaN: true }), (r, lora_alpha) => {
      expect(layoutOf({ r, lora_alpha })).toEqual(every({ rank: r, scale: lora_alpha / r }));
      expect(layoutOf({ r, lora_alpha, use_rslora: true })).toEqual(
        every({ rank: r, scale: lora_alpha / Math.sqrt(r) }),
      );
    }),
  );
});

test('a rank and a scale of its own for each layer survive writing and reading', () => {
  const layer = fc.record({
    rank: fc.integer({ min: 0, max: 64 }),
    scale: fc.double({ min: 0.01, max: 8, noNaN: true }),
  });
  const layout = fc.array(layer, { minLength: 12, maxLength: 12 }).filter((all) => all.some(({ rank }) => rank > 0));
  fc.assert(
    fc.property(layout, fc.integer({ min: 1, max: 64 }), (wanted, rank) => {
      const layers = wanted.map(({ rank, scale }): ExpertLayer => {
        const none = new Float32Array();
        return { a: { shape: [rank, 48], data: none }, b: { shape: [32, rank], data: none }, scale };
      });
      const expert: Expert = { name: 'safety', role: 'safety', rank, alpha: 16, layers };
      const found = layoutOf(JSON.parse(JSON.stringify(adapterConfigJson(expert))));
      for (const [i, { rank, scale }] of found.entries()) {
        expect(rank).toBe(wanted[i]!.rank);
        // The file has alpha, so the scale is rounded on the way there and on the way back.
        if (rank > 0) expect(Math.abs(scale / wanted[i]!.scale - 1)).toBeLessThan(1e-15);
      }
    }),
  );
});

test.each<[string, object, string]>([
  [
    'other modules',
    { target_modules: ['down_proj', 'q_proj', 'lm_head'] },
    'target_modules: found ["down_proj","q_proj","lm_head"], wanted modules that are all mlp.down_proj: it also selects self_attn.q_proj, lm_head',
  ],
  [
    'all linear modules',
    { target_modules: 'all-linear' },
    'target_modules: found "all-linear", wanted modules that are all mlp.down_proj: it also selects self_attn.q_proj, self_attn.k_proj, self_attn.v_proj, self_attn.o_proj, mlp.gate_proj, mlp.up_proj',
  ],
  [
    'modules that are not there',
    { target_modules: ['c_proj'] },
    'target_modules: found ["c_proj"], wanted at least one mlp.down_proj: it selects no module of this decoder',
  ],
  [
    'modules that are all excluded',
    { exclude_modules: 'model.*' },
    'target_modules: found ["down_proj"], wanted at least one mlp.down_proj: it selects no module of this decoder',
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
