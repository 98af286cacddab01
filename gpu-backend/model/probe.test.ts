/** The probe of a bundle: read and checked like everything else in it, and asked. */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { JUDGEMENTS } from '#shared/line/categories.ts';
import { BundleError } from './bundle-error.ts';
import { tinyBundle } from './fixtures/tiny-bundle.ts';
import { loadBundle } from './load-bundle.ts';
import { askProbe, probeVersion, readProbe } from './probe.ts';
import { bundleBench, editJson, editTensors } from './testing/bundle-bench.ts';
import { mutatedBytes } from './testing/fuzz-reader.ts';
import { verifyBundle } from './verify-bundle.ts';
import { writeBundle } from './write-bundle.ts';

const { root, sound, broken } = bundleBench('probe');
const HEAD = 'probes/second-look.json';
const WEIGHTS = 'probes/second-look.safetensors';
const probed = join(root, 'probed');
beforeAll(async () => {
  await writeBundle(probed, tinyBundle({ probeWindow: 8 }), { dtype: 'f16' });
});

test('a written probe is read with every number as it was, whatever type the weights have', async () => {
  const { probe } = await loadBundle(probed);
  expect(probe).toMatchObject(tinyBundle({ probeWindow: 8 }).probe!);
  expect(probe!.version).toMatch(/^[0-9a-f]{12}$/);
  expect((await loadBundle(probed)).manifest.probes).toEqual({ second_look: { version: probe!.version } });
  expect((await loadBundle(sound)).probe).toBeNull();
});

test('the digest and the version depend on the numbers and on how they are calibrated', async () => {
  const found = await loadBundle(probed);
  const { head, ...numbers } = tinyBundle({ probeWindow: 8 }).probe!;
  const others = [
    { head: { ...head, calibration: { ...head.calibration, hate: { a: 2, b: 0 } } }, ...numbers },
    { head, ...numbers, bias: numbers.bias.map((x) => x + 1) },
  ];
  for (const [i, probe] of others.entries()) {
    const dir = join(root, `other-${i}`);
    await writeBundle(dir, { ...tinyBundle(), probe }, { dtype: 'f16' });
    const other = await loadBundle(dir);
    expect(other.digest).not.toBe(found.digest);
    expect(other.probe!.version).not.toBe(found.probe!.version);
  }
});

describe('a bundle is refused with', () => {
  const cases: [string, (dir: string) => Promise<unknown>, RegExp][] = [
    ['no head', (dir) => rm(join(dir, HEAD)), /^probes\/second-look\.json: cannot be read: found no such file/],
    ['no weights', (dir) => rm(join(dir, WEIGHTS)), /^probes\/second-look\.safetensors: cannot be read: found no such/],
    [
      'a probe that it does not name',
      editJson('plimsoll.json', (json) => delete json.probes),
      /^plimsoll\.json: probes: found nothing, but there is probes\/second-look\.json$/,
    ],
    [
      'another version',
      editJson('plimsoll.json', (json) => (json.probes.second_look.version = '0123456789ab')),
      /^plimsoll\.json: probes\.second_look\.version: found 0123456789ab, wanted [0-9a-f]{12}, by which/,
    ],
    [
      'numbers of another version',
      editTensors(WEIGHTS, (tensors) => (tensors.get('bias')!.data[0]! += 1)),
      /^plimsoll\.json: probes\.second_look\.version: found [0-9a-f]{12}, wanted [0-9a-f]{12}/,
    ],
    [
      'a layer that the model does not have',
      editJson(HEAD, (json) => (json.layers = [0, 2])),
      /^probes\/second-look\.json: layers\.1: found 2, wanted less than the model's 2 layers/,
    ],
    [
      'a layer twice',
      editJson(HEAD, (json) => (json.layers = [1, 1])),
      /second-look\.json: layers: names a layer twice/,
    ],
    ['no window', editJson(HEAD, (json) => delete json.window), /second-look\.json: window: /],
    ['a judgement missing', editJson(HEAD, (json) => json.judgements.pop()), /^probes\/second-look\.json: judgements/],
    [
      'a judgement without calibration',
      editJson(HEAD, (json) => delete json.calibration.hate),
      /^probes\/second-look\.json: calibration\.hate: /,
    ],
    ['a key that it does not know', editJson(HEAD, (json) => (json.layer = 1)), /second-look\.json: .*"layer"/],
    [
      'weights of another shape',
      editJson(HEAD, (json) => (json.layers = [0])),
      /^probes\/second-look\.safetensors: tensor weight: found shape \[16, 128\], wanted \[16, 64\]/,
    ],
    [
      'a NaN',
      editTensors(WEIGHTS, (tensors) => (tensors.get('weight')!.data[3] = Number.NaN)),
      /^probes\/second-look\.safetensors: tensor weight: found NaN or an infinity at element 3/,
    ],
  ];
  test.each(cases)('%s', async (_, damage, message) => {
    const dir = await broken(damage, probed);
    await expect(loadBundle(dir)).rejects.toThrow(message);
  });
});

test('checking a bundle without its weights checks the probe too', async () => {
  const dir = await broken(
    editJson(HEAD, (json) => (json.layers = [7])),
    probed,
  );
  const head = await loadBundle(probed);
  await expect(verifyBundle(dir, head)).rejects.toThrow('probes/second-look.json: layers.0: found 7');
  expect(await verifyBundle(probed, head)).toBe(head.digest);
});

test('writing a bundle with a probe writes two files more', async () => {
  expect((await readdir(join(probed, 'probes'))).sort()).toEqual(['second-look.json', 'second-look.safetensors']);
  expect(await readdir(sound)).not.toContain('probes');
});

test('the probability of a judgement is the calibrated sigmoid of its row', async () => {
  const probe = (await loadBundle(probed)).probe!;
  const features = Float32Array.from({ length: 128 }, (_, i) => Math.sin(i));
  const found = askProbe(probe, features);
  expect(found).toHaveLength(JUDGEMENTS.length);
  JUDGEMENTS.forEach((judgement, row) => {
    const { a, b } = probe.head.calibration[judgement]!;
    const terms = Array.from(features, (x, i) => x * probe.weight[row * 128 + i]!);
    const z = terms.reduce((sum, term) => sum + term, probe.bias[row]!);
    expect(found[row]).toBeCloseTo(Math.exp(a * z + b) / (1 + Math.exp(a * z + b)), 10);
  });
  expect(askProbe(probe, features.with(5, Number.NaN)).every(Number.isNaN)).toBe(true);
});

test.each([HEAD, WEIGHTS])('whatever the bytes of %s are, the probe is read or refused', async (file) => {
  const dir = await broken(async () => {}, probed);
  const { manifest, config } = await loadBundle(dir);
  const sound = await readFile(join(dir, file));
  const tolerant = async (bytes: Uint8Array) => {
    await writeFile(join(dir, file), bytes);
    // Of whatever bytes there are, so that it is not the version that is refused.
    const version = await probeVersion(dir).catch(() => '0'.repeat(12));
    try {
      await readProbe(dir, { ...manifest, probes: { second_look: { version } } }, config);
      return true;
    } catch (error) {
      if (!(error instanceof BundleError)) throw error;
      expect(error.message.startsWith(`${error.file}: `)).toBe(true);
      return false;
    }
  };
  expect(await tolerant(sound)).toBe(true);
  await fc.assert(
    fc.asyncProperty(mutatedBytes(sound), async (bytes) => void (await tolerant(bytes))),
    { numRuns: 200 },
  );
});
