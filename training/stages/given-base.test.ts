/** Every stage on a base that comes as a bundle, and what happens if it is another one later on. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { moveToStore } from '#gpu-backend/model/blob-store.ts';
import { PROBE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { cacheFolder } from '#gpu-backend/model/cache-folder.ts';
import { openExpertsFolder } from '#gpu-backend/model/experts-folder.ts';
import { tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { loadBundle, openBundle } from '#gpu-backend/model/load-bundle.ts';
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { NO_ROUTERS } from '#gpu-backend/model/router.ts';
import { readScoreHeads } from '#gpu-backend/model/score-heads.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';
import { openHeadScorer } from '#gpu-backend/scores/score-with-heads.ts';
import { encodePairs } from '../data/encode-pairs.ts';
import { pairs } from '../testing/small-talk.ts';
import { writeChatFiles } from '../tokenizer/chat-files.ts';
import { trainBpe } from '../tokenizer/train-bpe.ts';
import { type BaseModel, openBase, toHuggingFace } from './base-model.ts';
import { type ExpertOptions, expertStage } from './expert.ts';
import { loadExpertWeights } from './expert-weights.ts';
import { exportStage } from './export.ts';
import { EXPERTS } from './folder-kinds.ts';
import { marginModel } from './margin-model.ts';
import { rankStage, readDualPairs } from './rank.ts';
import { routerStage } from './router.ts';
import { loadRouters } from './router-weights.ts';
import { scoreStage } from './score.ts';
import { loadScorer } from './scorer.ts';

const manifest = {
  id: 'mine',
  licence: 'Apache-2.0',
  default_weight: 0.5,
  provenance: { description: 'a test', data: [] },
};
const data = { train: pairs(10), heldOut: pairs(6, 'held out'), dataSettings: {} };
const lora = { rank: 2, alpha: 4, learningRate: 1e-2, pairsPerBatch: 2, epochs: 1 };

let dir: string;
let base: BaseModel;
/** The same base, but for one bit of one weight. */
let flipped: BaseModel;
const at = (name: string) => path.join(dir, name);

const stage = (on: BaseModel) => ({ resume: false, seed: 1, threads: 1, base: on, tokenizer: on.tokenizer });
const expert = (role: ExpertRole, out: string, options: Partial<ExpertOptions> = {}) => {
  const dpo = { beta: 0.1, nllWeight: 0, variant: 'corrected', margin: null, from: null } as const;
  return expertStage({ ...stage(base), ...data, ...lora, ...dpo, role, out: at(out), ...options });
};
const experts = async () => ({
  safety: await loadExpertWeights(at('safety'), base, { wanted: 'safety' }),
  helpfulness: await loadExpertWeights(at('helpfulness'), base, { wanted: 'helpfulness' }),
});
const router = async (out: string, options: { base?: BaseModel; resume?: boolean; dual?: string } = {}) =>
  routerStage({
    ...stage(base),
    ...{ kind: 'layers', variant: 'corrected', width: 4, beta: 0.1, lambda: 1 },
    ...{ learningRate: 1e-2, pairsPerBatch: 2, epochs: 1, dataSettings: {} },
    ...(await experts()),
    ...(await readDualPairs(at('dual'), options.base ?? base)),
    out: at(out),
    ...options,
  });

beforeAll(async () => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-given-base-'));
  await writeBundle(at('bundle'), tinyBundle({ config: { max_position_embeddings: 512 } }));
  base = await openBase(at('bundle'));
  await cp(at('bundle'), at('flipped'), { recursive: true });
  const bytes = await readFile(at('flipped/model.safetensors'));
  bytes[bytes.length - 2]! ^= 1;
  await writeFile(at('flipped/model.safetensors'), bytes);
  flipped = await openBase(at('flipped'));

  for (const kind of ['reward', 'cost'] as const) {
    await scoreStage({ ...stage(base), ...data, ...lora, kind, out: at(kind) });
  }
  const models = { base, padId: base.tokenizer.padId, threads: 1 };
  const reward = await loadScorer(at('reward'), { ...models, wanted: 'reward' });
  const cost = await loadScorer(at('cost'), { ...models, wanted: 'cost' });
  await expert('safety', 'safety', { margin: marginModel(cost, { name: 'cost', rule: 'spe', scale: 0.1 }) });
  await expert('helpfulness', 'helpfulness');
  const { train, heldOut } = data;
  const { tokenizer } = base;
  await rankStage({ train, heldOut, definition: 'figure', reward, cost, base, tokenizer, out: at('dual') });
  await router('layers');
});
afterAll(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await rm(dir, { recursive: true });
});

test('a bundle gives config, weights and tokenizer, and keeps its bytes when experts are exported on it', async () => {
  const bundle = await loadBundle(at('bundle'));
  expect(toHuggingFace(await base.weights())).toEqual(bundle.weights);
  expect(base.config).toEqual(bundle.config);
  const runs = { experts: [at('safety'), at('helpfulness')], routers: [at('layers')] };
  await exportStage({ base: at('bundle'), ...runs, out: at('mine'), manifest });
  const mine = await loadBundle(at('mine'));
  expect(mine.manifest).toMatchObject({ id: 'mine', router: { layers: { variant: 'corrected' } } });
  for (const file of ['model.safetensors', 'config.json', 'tokenizer.json', 'chat_template.jinja']) {
    expect(await readFile(at(`mine/${file}`)), file).toEqual(await readFile(at(`bundle/${file}`)));
  }
  const [trained] = mine.experts;
  expect(trained).toMatchObject({ role: 'safety', rank: 2, alpha: 4 });
  expect(trained!.modules.get('model.layers.0.mlp.down_proj')!.b.data.some((value) => value !== 0)).toBe(true);
});

test('heads that are exported judge as those that were trained, and only on a bundle', async () => {
  const runs = { experts: [at('safety'), at('helpfulness')], scores: { reward: at('reward'), cost: at('cost') } };
  await exportStage({ base: at('bundle'), ...runs, out: at('judge'), manifest, dtype: 'f32' });
  const bundle = await openBundle(at('judge'));
  const heads = await readScoreHeads(at('judge'), bundle.manifest, bundle.config);
  const served = await openHeadScorer(bundle, heads!, { threads: 1 });
  const { pairs: encoded } = encodePairs(data.heldOut, base.tokenizer, { dimension: 'better' });
  for (const kind of ['reward', 'cost'] as const) {
    const trained = await loadScorer(at(kind), { base, padId: base.tokenizer.padId, threads: 1, wanted: kind });
    const wanted = await trained.score(encoded, null);
    await trained.release();
    for (const [i, { chosen, rejected }] of encoded.entries()) {
      const found = [await served.score([...chosen.ids]), await served.score([...rejected.ids])];
      // Two graphs in f32, over some dozens of tokens.
      for (const [side, score] of wanted.get(i)!.entries()) expect(found[side]![kind]).toBeCloseTo(score, 4);
    }
  }
  await served.dispose();
  await expect(
    exportStage({ base: at('bundle'), ...runs, out: at('folder'), manifest, expertsOnly: true }),
  ).rejects.toThrow(/--scores: a folder of experts has no place for score heads/);
  const swapped = { ...runs, scores: { reward: at('cost'), cost: at('reward') } };
  await expect(exportStage({ base: at('bundle'), ...swapped, out: at('swapped'), manifest })).rejects.toThrow(
    /found a cost model, wanted a reward model/,
  );
});

test("a bundle's provenance has what its runs were trained on, and its licence must be allowed by that", async () => {
  const sources = async (name: string) => JSON.parse(await readFile(at(`${name}/sources.json`), 'utf8')).sources;
  const smallTalk = { name: 'small talk', licence: 'Apache-2.0' };
  const count = data.train.length;
  expect(await sources('cost')).toEqual([{ ...smallTalk, rows: count }]);
  // The judges' data is in what they judged.
  expect(await sources('dual')).toEqual([smallTalk]);
  const restricted = data.train.map((pair) => ({ ...pair, source: 'theirs', licence: 'CC-BY-NC-4.0' }));
  await expert('safety', 'restricted', { train: restricted });
  await expert('helpfulness', 'learns', {
    margin: {
      ...{ name: 'reward', rule: 'spe', scale: 1, of: async (pairs) => new Map(pairs.map((_, i) => [i, 0])) },
      run: { dir: at('restricted'), digest: 'any' },
    },
  });
  expect(await sources('learns')).toEqual([
    { ...smallTalk, rows: count },
    { name: 'theirs', licence: 'CC-BY-NC-4.0' },
  ]);
  const experts = [at('safety'), at('learns')];
  const bundle = { base: at('bundle'), experts, routers: [at('layers')] };
  const licensed = (licence: string) => ({ ...manifest, licence });
  const forbidden = exportStage({ ...bundle, routers: [], out: at('none'), manifest });
  await expect(forbidden).rejects.toThrow(
    '--licence Apache-2.0: found weights that come from theirs (CC-BY-NC-4.0), wanted sources that allow it: give --licence CC-BY-NC-4.0, or --licence private',
  );
  await exportStage({ ...bundle, routers: [], out: at('licensed'), manifest: licensed('CC-BY-NC-4.0') });
  const written = (await loadBundle(at('licensed'))).manifest;
  expect(written.provenance.data).toEqual([
    smallTalk,
    { name: 'theirs', licence: 'CC-BY-NC-4.0' },
    { name: `weights of ${base.manifest!.id}`, licence: base.manifest!.licence },
  ]);
});

test('experts can be exported without their base, and name it', async () => {
  const probe = tinyBundle({ probeWindow: 8 }).probe!;
  const runs = { experts: [at('safety'), at('helpfulness')], routers: [at('layers')], probe };
  const options = { base: at('bundle'), ...runs, out: at('mine-only'), manifest, expertsOnly: true };
  const digest = await exportStage(options);
  const folder = await openExpertsFolder(at('mine-only'));
  expect(folder).toMatchObject({ digest, manifest: { base: { sha256: base.digest }, licence: 'Apache-2.0' } });
  expect(folder.manifest.router).toEqual({ layers: { variant: 'corrected' } });
  expect(EXPERTS.isOurs(at('mine-only'))).toBe(true);
  // What is written is what a bundle of the same runs has.
  await exportStage({ base: at('bundle'), ...runs, out: at('mine-whole'), manifest });
  expect(folder.manifest.probes).toBeDefined();
  expect((await loadBundle(at('mine-whole'))).probe).toMatchObject(probe);
  for (const file of [
    'experts/safety/adapter_model.safetensors',
    'routers/layers.safetensors',
    ...Object.values(PROBE_FILES),
  ]) {
    expect(await readFile(at(`mine-only/${file}`)), file).toEqual(await readFile(at(`mine-whole/${file}`)));
  }
  await expect(exportStage({ ...options, base: at('flipped') })).rejects.toThrow(base.digest);
  await expect(exportStage({ ...options, base: at('safety') })).rejects.toThrow(
    `--experts-only: ${at('safety')} is no bundle, wanted one that others can import or pull`,
  );
  // Without runs, it is what the bundle itself adds to its base, byte by byte.
  await exportStage({ ...options, base: at('mine-whole'), experts: 'base', out: at('mine-copy') });
  const copy = await openExpertsFolder(at('mine-copy'));
  expect(copy.manifest).toEqual(folder.manifest);
  expect(copy.digest).toBe(digest);
});

test('a base in the cache is trained on and stays there', async () => {
  vi.stubEnv('PLIMSOLL_CACHE', at('cache'));
  await cp(at('bundle'), at('shared'), { recursive: true });
  const json = JSON.parse(await readFile(at('shared/plimsoll.json'), 'utf8'));
  const stored = await moveToStore(cacheFolder(process.env), at('shared/model.safetensors'));
  await writeFile(at('shared/plimsoll.json'), JSON.stringify({ ...json, base: stored }));
  const shared = await openBase(at('shared'));
  expect(shared.digest).toBe(stored.sha256);
  // It is the same base, so what was trained on the other copy goes with it.
  expect(shared.digest).toBe(base.digest);
  await exportStage({
    base: at('shared'),
    experts: [at('safety'), at('helpfulness')],
    out: at('mine-shared'),
    manifest,
  });
  expect((await loadBundle(at('mine-shared'))).manifest.base).toEqual(stored);

  const file = path.join(cacheFolder(process.env).blobs, stored.sha256);
  const bytes = await readFile(file);
  bytes[bytes.length - 2]! ^= 1;
  await rm(file);
  await writeFile(file, bytes);
  await expect(openBase(at('shared'))).rejects.toThrow(
    `the bundle in ${at('shared')}: model.safetensors: ${file} is damaged: found SHA-256 ${flipped.digest}, wanted ${base.digest}`,
  );
});

describe('a base that differs in one bit', () => {
  const other = (name: string) =>
    `${at(name)} was trained on another base (SHA-256 ${base.digest}) than ${at('flipped')} (${flipped.digest}): ` +
    'give the base it was trained on, or train it anew on this one';

  test.each([
    ['an expert', 'safety', () => loadExpertWeights(at('safety'), flipped)],
    [
      'a cost model',
      'cost',
      () => loadScorer(at('cost'), { base: flipped, padId: base.tokenizer.padId, threads: 1, wanted: 'cost' }),
    ],
    ['a router', 'layers', () => loadRouters([at('layers')], flipped)],
    ['pairs that were ranked on the first', 'dual', () => readDualPairs(at('dual'), flipped)],
    [
      'the export',
      'safety',
      () => exportStage({ base: at('flipped'), experts: [at('safety'), at('helpfulness')], out: at('none'), manifest }),
    ],
  ])('is refused by %s', async (_, name, use) => {
    await expect(use()).rejects.toThrow(other(name));
  });

  test('is refused by --resume', async () => {
    await expect(expert('helpfulness', 'helpfulness', { base: flipped, resume: true })).rejects.toThrow(
      `was made with the base of SHA-256 ${base.digest}, now it is ${flipped.digest}: give the base that it was made with`,
    );
  });
});

test('experts have the role that they are given for', async () => {
  await expect(loadExpertWeights(at('helpfulness'), base, { wanted: 'safety' })).rejects.toThrow(
    `${at('helpfulness')}: found the helpfulness expert, wanted the safety expert`,
  );
  const twice = exportStage({ base: at('bundle'), experts: [at('safety'), at('safety')], out: at('none'), manifest });
  await expect(twice).rejects.toThrow(
    `--experts: found ${at('safety')} and ${at('safety')} for the role safety, wanted one run of each role`,
  );
});

test('a router goes only with the experts that it was trained between', async () => {
  await expert('safety', 'safety-2', { seed: 2 });
  const [first, second] = [await loadExpertWeights(at('safety'), base), await loadExpertWeights(at('safety-2'), base)];
  const mixed = exportStage({
    base: at('bundle'),
    experts: [at('safety-2'), at('helpfulness')],
    routers: [at('layers')],
    out: at('none'),
    manifest,
  });
  await expect(mixed).rejects.toThrow(
    `${at('layers')} was trained with another safety run (SHA-256 ${first.digest}) than ${at('safety-2')} (${second.digest})`,
  );
});

test('a finished run of a constant rate can be made longer, and is then the same as one that was long from the start', async () => {
  const pace = { schedule: 'constant', warmupSteps: 2 } as const;
  const losses = async (name: string) =>
    (await readFile(at(`${name}/metrics.jsonl`), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      .flatMap(({ step, loss }) => (loss === undefined ? [] : [[step, loss]]));
  await expert('safety', 'long', { ...pace, epochs: 2 });
  await expert('safety', 'longer', { ...pace, epochs: 1.5 });
  expect((await losses('longer')).length).toBeLessThan((await losses('long')).length);
  await expert('safety', 'longer', { ...pace, epochs: 2, resume: true });
  expect(await losses('longer')).toEqual(await losses('long'));
  await expect(expert('safety', 'longer', { epochs: 3, ...pace, warmupSteps: 3, resume: true })).rejects.toThrow(
    'was made with warmupSteps = 2, this run has 3',
  );
  await expect(expert('helpfulness', 'helpfulness', { epochs: 2, resume: true })).rejects.toThrow(
    'cannot become one of',
  );
});

test('sample answers are kept beside the figures', async () => {
  await expert('safety', 'sampled', { samples: { count: 2 }, maxSteps: 1 });
  const rows = (await readFile(at('sampled/samples.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(rows.map(({ step, prompt }) => [step, prompt])).toEqual(
    [0, 1].flatMap((step) => rows.slice(0, 2).map(({ prompt }) => [step, prompt])),
  );
  expect(new Set(rows.map(({ prompt }) => prompt)).size).toBe(2);
});

test('--resume refuses rows whose labels or texts have changed', async () => {
  const flippedLabels = data.train.map((pair) => ({ ...pair, better: pair.safer, safer: pair.better }));
  await expect(expert('helpfulness', 'helpfulness', { train: flippedLabels, resume: true })).rejects.toThrow(
    /was made with the rows \(to train on\) of SHA-256 [0-9a-f]{64}, now it is [0-9a-f]{64}: give the rows/,
  );
  const [first, ...others] = data.heldOut;
  const heldOut = [{ ...first!, responses: ['Yes.', 'No.'] as [string, string] }, ...others];
  await expect(expert('helpfulness', 'helpfulness', { heldOut, resume: true })).rejects.toThrow('rows (held out)');
  // Where the same rows came from does not matter.
  const moved = data.train.map((pair) => ({ ...pair, source: 'another file' }));
  await expert('helpfulness', 'helpfulness', { train: moved, resume: true });
});

test('--resume refuses a margin model that has been trained on', async () => {
  const cost = await loadScorer(at('cost'), { base, padId: base.tokenizer.padId, threads: 1, wanted: 'cost' });
  const since = { ...cost, digest: 'since' };
  const margin = marginModel(since, { name: 'cost', rule: 'spe', scale: 0.1 });
  await expect(expert('safety', 'safety', { margin, resume: true })).rejects.toThrow(
    `was made with the run given as margin of SHA-256 ${cost.digest}, now it is since`,
  );
});

describe('what is no base is refused:', () => {
  test('a folder that is not there, a run without its tokenizer, a model of Hugging Face', async () => {
    await expect(openBase(at('nowhere'))).rejects.toThrow(
      `${at('nowhere')}: found no such folder, wanted a run of the stage sft or a bundle`,
    );
    await expect(openBase(at('safety'))).rejects.toThrow('--tokenizer must name the folder of its tokenizer');
    await cp(at('bundle'), at('hub'), { recursive: true });
    await rm(at('hub/plimsoll.json'));
    await expect(openBase(at('hub'))).rejects.toThrow(
      "found a model in Hugging Face's layout, wanted a run of the stage sft or a bundle: plimsoll model import",
    );
  });

  test("a bundle with a tokenizer that is not the bundle's", async () => {
    await mkdir(at('other'));
    writeChatFiles(at('other'), trainBpe(['some other text, some other text'], { vocabSize: 262 }));
    await expect(openBase(at('bundle'), at('other'))).rejects.toThrow(
      /other is another tokenizer \(SHA-256 [0-9a-f]{64}\) than the one in the bundle .*: leave --tokenizer out/,
    );
    expect((await openBase(at('bundle'), at('bundle'))).digest).toBe(base.digest);
  });

  test.each([
    ['names no token that ends an answer', { eos_token: null }, 'eos_token: found none'],
    ['names a token that is not special', { bos_token: 'hello' }, 'bos_token: found hello, wanted a special token'],
  ])('a bundle whose tokenizer %s', async (_, changes, message) => {
    const bundle = tinyBundle();
    const tokenizerConfig = { ...bundle.tokenizerConfig, ...changes };
    await rm(at('undefined'), { recursive: true, force: true });
    await writeBundle(at('undefined'), { ...bundle, routers: NO_ROUTERS });
    await writeFile(at('undefined/tokenizer_config.json'), JSON.stringify(tokenizerConfig));
    await expect(openBase(at('undefined'))).rejects.toThrow(`the bundle in ${at('undefined')}: tokenizer_config.json`);
    await expect(openBase(at('undefined'))).rejects.toThrow(message);
  });
});
