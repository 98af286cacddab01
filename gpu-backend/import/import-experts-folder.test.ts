/** Experts of a few megabytes, kept without their base, and put on it by an import. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { openExpertsFolder } from '#gpu-backend/model/experts-folder.ts';
import { tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { loadBundle } from '#gpu-backend/model/load-bundle.ts';
import { writeExpertsFolder } from '#gpu-backend/model/write-experts-folder.ts';
import { importBench } from './testing/import-tiny.ts';
import { tinyModel } from './testing/make-sources.ts';

const { place, folderOf, ggufOf, imported } = importBench('import-experts-folder');
const { routers, probe } = tinyBundle({ routers: true, probeWindow: 8 });
const parts = { ...tinyModel(), routers, probe: probe! };

let source: string;
/** The SHA-256 of the imported weights, and experts that were trained on them. */
let base: string;
let folder: string;

const pairs = { name: 'pairs', licence: 'MIT' };
const provenance = { description: 'trained here', data: [pairs, pairs] };
const onto = (from: string, options: object = {}) =>
  imported(from, { experts: undefined, expertsFolder: folder, ...options });
const sha256Of = async (file: string) =>
  createHash('sha256')
    .update(await readFile(file))
    .digest('hex');

beforeAll(async () => {
  source = await folderOf(parts);
  const bundle = await imported(source);
  base = await sha256Of(join(bundle, 'model.safetensors'));
  folder = place();
  const { files = [] } = (await loadBundle(bundle)).manifest.provenance;
  const manifest = { base: { sha256: base, files }, default_weight: 0.4, sampling: { temperature: 0.3 } };
  await writeExpertsFolder(
    folder,
    { ...parts, manifest: { ...manifest, licence: 'CC-BY-4.0', provenance } },
    { dtype: 'f32' },
  );
});

test('the bundle has the base, the experts, the routers and the probe as they were, and names the origins of both', async () => {
  const { digest } = await openExpertsFolder(folder);
  const bundle = await loadBundle(await onto(source, { licence: 'Apache-2.0' }));
  expect(bundle.experts).toEqual(parts.experts);
  expect(bundle.routers).toEqual(parts.routers);
  expect(bundle.probe).toEqual({ ...parts.probe, version: expect.stringMatching(/^[0-9a-f]{12}$/) });
  expect(bundle.weights).toEqual(parts.weights);
  expect(bundle.sampling.temperature).toBe(0.3);
  expect(bundle.manifest).toMatchObject({
    default_weight: 0.4,
    licence: 'Apache-2.0 AND CC-BY-4.0',
    provenance: {
      // What both name is there once.
      data: [{ source: 'plimsoll model import' }, { name: 'pairs' }],
      files: expect.arrayContaining([expect.objectContaining({ name: 'model.safetensors' })]),
      experts: { digest, base, licence: 'CC-BY-4.0', description: 'trained here' },
    },
  });
});

test('an expert that is a prompt comes along, under the name of its role', async () => {
  const prompted = place();
  const [safety, helpfulness] = parts.experts as [(typeof parts.experts)[0], (typeof parts.experts)[0]];
  const manifest = { base: { sha256: base, files: [] }, default_weight: 0.5, licence: 'Apache-2.0', provenance };
  const experts = [{ ...safety, name: 'careful', prompt: 'Be careful.' }, helpfulness];
  await writeExpertsFolder(prompted, {
    config: parts.config,
    experts,
    routers: { layers: null, logits: null },
    manifest,
  });
  const { experts: both } = await loadBundle(await onto(source, { expertsFolder: prompted }));
  expect(both.map(({ name, role, prompt }) => [name, role, prompt])).toEqual([
    ['safety', 'safety', 'Be careful.'],
    ['helpfulness', 'helpfulness', undefined],
  ]);
});

describe('the base', () => {
  test('that differs in one bit is refused with both digests, both files and what to do', async () => {
    const flipped = place();
    await cp(source, flipped, { recursive: true });
    const file = join(flipped, 'model.safetensors');
    const bytes = await readFile(file);
    // The lowest bit of the last weight.
    bytes[bytes.length - 4]! ^= 1;
    await writeFile(file, bytes);
    const out = place();
    const refused = onto(flipped, { out });
    await expect(refused).rejects.toThrow(
      `${join(folder, 'experts.json')}: base.sha256: found a base whose model.safetensors has the SHA-256 `,
    );
    const own = join(await imported(flipped), 'model.safetensors');
    await expect(refused).rejects.toThrow(await sha256Of(own));
    await expect(refused).rejects.toThrow(`model.safetensors, ${await sha256Of(file)}`);
    await expect(refused).rejects.toThrow(`wanted ${base}`);
    await expect(refused).rejects.toThrow(`model.safetensors, ${await sha256Of(join(source, 'model.safetensors'))}`);
    await expect(refused).rejects.toThrow('import that one, or train experts on this one');
    expect(existsSync(out)).toBe(false);
  });

  test('may come in another container, and may be stored as another type on request, but not otherwise', async () => {
    const gguf = await ggufOf(parts);
    // The same weights, whatever the file.
    expect((await loadBundle(await onto(gguf))).weights).toEqual(parts.weights);
    const { experts } = await loadBundle(await onto(source, { weights: 'f16' }));
    expect(experts).toEqual(parts.experts);
    await expect(onto(gguf, { weights: 'f16' })).rejects.toThrow(`wanted ${base}`);
  });
});

describe('a folder of experts', () => {
  const changed = async (change: (dir: string) => Promise<unknown>) => {
    const dir = place();
    await cp(folder, dir, { recursive: true });
    await change(dir);
    return dir;
  };
  const edited = (edit: (json: Record<string, unknown>) => void) =>
    changed(async (dir) => {
      const json = JSON.parse(await readFile(join(dir, 'experts.json'), 'utf8'));
      edit(json);
      await writeFile(join(dir, 'experts.json'), JSON.stringify(json));
    });

  test('has a digest of what counts: not of a card, but of any weight', async () => {
    const { digest } = await openExpertsFolder(folder);
    const card = await changed((dir) => writeFile(join(dir, 'README.md'), '# card'));
    expect((await openExpertsFolder(card)).digest).toBe(digest);
    const probe = 'probes/second-look.safetensors';
    for (const file of ['experts/safety/adapter_model.safetensors', 'routers/logits.safetensors', probe]) {
      const other = await changed(async (dir) => {
        const bytes = await readFile(join(dir, file));
        bytes[bytes.length - 4]! ^= 1;
        await writeFile(join(dir, file), bytes);
      });
      expect((await openExpertsFolder(other)).digest, file).not.toBe(digest);
    }
  });

  test.each<[string, () => Promise<string>, string]>([
    [
      'a missing file',
      () => changed((dir) => rm(join(dir, 'routers/layers.safetensors'))),
      '/routers/layers.safetensors: found no such file, wanted a file, because experts.json counts on it',
    ],
    ['no experts.json', () => changed((dir) => rm(join(dir, 'experts.json'))), '/experts.json: '],
    ['a key that is not known', () => edited((json) => (json.probe = {})), '/experts.json: Unrecognized key: "probe"'],
    ['only one expert', () => edited((json) => (json.experts = [])), 'found 0 experts with the role safety, wanted 1'],
    [
      'an adapter that nobody counts on',
      () =>
        edited(
          (json) =>
            (json.experts = [
              { name: 'safety', role: 'safety', adapter: false },
              { name: 'helpfulness', role: 'helpfulness' },
            ]),
        ),
      '/experts.json: experts.0.adapter: found false, but there is experts/safety/adapter_config.json',
    ],
    [
      'an adapter that is cut off',
      () => changed((dir) => truncate(join(dir, 'experts/safety/adapter_model.safetensors'), 99)),
      '/experts/safety/adapter_model.safetensors: ',
    ],
  ])('with %s is refused by name', async (_, make, message) => {
    const dir = await make();
    await expect(onto(source, { expertsFolder: dir })).rejects.toThrow(message);
    await expect(onto(source, { expertsFolder: dir })).rejects.toThrow(dir);
  });

  test('comes alone, on a model without experts of its own', async () => {
    const message = `${folder}: found experts and routers, wanted no others to be named beside them`;
    await expect(onto(source, { experts: { safety: {}, helpfulness: {} } })).rejects.toThrow(message);
    await expect(onto(source, { routers: source })).rejects.toThrow(message);
  });

  test('is not written if its experts do not fit the base, and what was there stays', async () => {
    const dir = await changed(async () => {});
    const { experts } = tinyBundle({ config: { hidden_size: 64 } });
    const { manifest } = await openExpertsFolder(folder);
    const { base, default_weight, licence } = manifest;
    const wrong = { ...parts, experts, manifest: { base, default_weight, licence, provenance } };
    await expect(writeExpertsFolder(dir, wrong)).rejects.toThrow('experts/safety/adapter_model.safetensors: tensor');
    expect((await openExpertsFolder(dir)).digest).toBe((await openExpertsFolder(folder)).digest);
  });
});
