/** A study on a whole tiny recipe: what it reads, what it trains, and what it must not touch. */
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { createRandom } from '#training/data/random.ts';
import { savedSettings } from '#training/run/checkpoint.ts';
import { KEPT_FOLDER } from '#training/run/kept-numbers.ts';
import { openBase } from '#training/stages/base-model.ts';
import { readDualPairs } from '#training/stages/rank.ts';
import { loadScorer } from '#training/stages/scorer.ts';
import { type RunContext, trainRuns } from '../methods/runs.ts';
import type { Candidate } from './candidates.ts';
import { dualOutput } from './dual-step.ts';
import { TINY_SETTINGS, writeTinyBase, writeTinyData } from './fixtures/tiny-recipe.ts';
import type { AnswersRow } from './own-answers.ts';
import { ANSWERS_OUTPUT, PAIRS_OUTPUT } from './pairs-step.ts';
import { pairRow, readPairRows, readPreferences, readPromptRows, writeRows } from './recipe-rows.ts';
import { assertOneStudy, type RecipeSource, recipeSource } from './recipe-source.ts';
import type { Settings } from './settings.ts';
import { OVER_REFUSAL, OWN_ANSWERS, REFUSALS } from './sources.ts';
import { digestOfFiles, digestOfJson } from './step-records.ts';
import { trainSmollm2 } from './train-smollm2.ts';

const budgets = (world: number) => ({
  ...TINY_SETTINGS.pairs.better,
  train: { world, refusals: 9_000 },
  dev: { world, refusals: 3_000 },
});
const SETTINGS: Settings = {
  ...TINY_SETTINGS,
  worldPairs: { ...TINY_SETTINGS.worldPairs, train: 200, dev: 150 },
  pairs: { ...TINY_SETTINGS.pairs, better: budgets(40_000) },
  prompts: { ...TINY_SETTINGS.prompts, everyday: 40, 'world, ordinary': 20, 'world, borderline': 20 },
  defaultWeight: 0.4,
  sampling: { temperature: 0.65, top_p: 0.85 },
  expert: { ...TINY_SETTINGS.expert, beta: 0.25, nllWeight: 0.15, marginScale: 0.2 },
  router: { ...TINY_SETTINGS.router, lambda: { layers: 0.12, logits: 0.34 } },
};

let dir: string;
const at = (...names: string[]) => path.join(dir, ...names);
let source: RecipeSource;
let context: RunContext;
let before: string[];

/** Every file with its time and its bytes. */
function contentsOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort()
    .map(
      (file) => `${file} ${statSync(file).mtimeMs} ${createHash('sha256').update(readFileSync(file)).digest('hex')}`,
    );
}

/**
 * The tiny base never ends a sentence, so we write its answers, of the small world's. The step
 * takes up what it finds.
 */
async function writeAnswers(): Promise<void> {
  const { perPrompt, temperature, topP, maxTokens } = SETTINGS.answers;
  const base = (await openBase(at('base'))).digest;
  const drawn = digestOfJson({ base, seed: 7, perPrompt, temperature, topP, maxTokens }).slice(0, 12);
  const random = createRandom('answers');
  const texts = (await readPairRows(at('recipe/data/pairs.jsonl')))
    .filter(({ family }) => family === 'world')
    .flatMap(({ responses }) => responses);
  const rows = (await readPromptRows(at('recipe/data/prompts.jsonl'))).map(
    (row): AnswersRow => ({
      ...row,
      answers: random.sample(texts, 14).map((text) => ({ text, finish: 'stop', tokens: 1 })),
      drawn,
    }),
  );
  makeFolder(at('recipe/answers'));
  writeRows(at('recipe', ANSWERS_OUTPUT), rows);
}

beforeAll(async () => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-recipe-source-'));
  await writeTinyBase(at('base'));
  writeTinyData(at('data'));
  const given = { base: at('base'), data: at('data'), out: at('recipe'), threads: 1, settings: SETTINGS };
  await trainSmollm2({ ...given, until: 'data', print: () => {} });
  await writeAnswers();
  await trainSmollm2({ ...given, until: 'export', print: () => {} });
  before = contentsOf(at('recipe'));
  source = await recipeSource(at('recipe'));
  const base = await openBase(at('base'));
  context = { dir: at('study'), seed: source.seed, source, base, tokenizer: base.tokenizer, threads: 1 };
});
afterAll(() => {
  vi.restoreAllMocks();
  rmSync(dir, { recursive: true });
});

test('reads the settings from the records, not from the code of today', () => {
  const { score, expert, router, answers } = SETTINGS;
  expect(source).toMatchObject({ seed: 7, scale: 1, maxTokens: answers.maxTokens, score, expert, router });
  expect(source.sampling).toEqual({ temperature: 0.65, topP: 0.85 });
  expect(source.served).toEqual({ defaultWeight: 0.4, routers: ['layers'] });
  expect(source.base).toBe(context.base.digest);
});

test("gives the recipe's own pairs, with the part dev as held out", async () => {
  for (const dimension of ['safer', 'better'] as const) {
    const { train, heldOut } = await source.pairs(dimension);
    const prompts = async (side: string) =>
      (await readPairRows(at(`recipe/pairs/${dimension}-${side}.jsonl`))).map(({ prompt }) => prompt);
    expect(train.map(({ prompt }) => prompt)).toEqual(await prompts('train'));
    expect(heldOut.map(({ prompt }) => prompt)).toEqual(await prompts('dev'));
    expect(train.every((pair) => pair[dimension] !== null)).toBe(true);
  }
});

test('a policy for safety compares the very pairs that the expert that ships has seen', async () => {
  await trainRuns(['dpo-safety'], context);
  const { data } = (await savedSettings(at('recipe/runs/safety')))!;
  const run = (await savedSettings(at('study/dpo-safety')))!;
  expect(run.data).toEqual(data);
  expect(await source.compared('helpfulness')).toEqual(await source.pairs('better'));
});

test('pairs of over-refusal are compared for safety if the recipe did so, and heads never see them', async () => {
  cpSync(at('recipe'), at('refusals'), { recursive: true });
  const better = at('refusals/pairs/better-train.jsonl');
  const [row] = await readPairRows(better);
  const added: Candidate = { ...row!, family: OVER_REFUSAL, source: REFUSALS, better: 1, safer: null };
  writeFileSync(better, `${readFileSync(better, 'utf8')}${JSON.stringify(pairRow(added))}\n`);
  const record = (step: string, change: (record: { inputs: object }) => object) => {
    const file = at(`refusals/steps/${step}.json`);
    writeFileSync(file, JSON.stringify(change(JSON.parse(readFileSync(file, 'utf8')))));
  };
  const output = await digestOfFiles(at('refusals'), PAIRS_OUTPUT);
  record('pairs', (found) => ({ ...found, output }));
  const withThem = await recipeSource(at('refusals'));
  const { train } = await withThem.pairs('safer');
  const compared = (await withThem.compared('safety')).train;
  expect(compared.slice(0, train.length)).toEqual(train);
  expect(compared.slice(train.length).every(({ source }) => source === REFUSALS)).toBe(true);
  expect(compared.at(-1)).toMatchObject({ source: REFUSALS, better: 1, safer: 1 });
  record('safety', ({ inputs, ...found }) => ({ ...found, inputs: { ...inputs, besides: undefined } }));
  expect((await (await recipeSource(at('refusals'))).compared('safety')).train).toEqual(train);
});

test("makes D_dual of the recipe's own answers, as the recipe does, under any definition", async () => {
  const { base, tokenizer } = context;
  const models = { base, padId: tokenizer.padId, threads: 1 };
  const load = (wanted: 'reward' | 'cost') => loadScorer(at('recipe/runs', wanted), { ...models, wanted });
  const made = await source.dual!({
    definition: 'corrected',
    reward: await load('reward'),
    cost: await load('cost'),
    tokenizer,
  });
  expect(made.train).toEqual(await readPreferences(at('recipe', dualOutput('train'))));
  expect(made.heldOut).toEqual(await readPreferences(at('recipe', dualOutput('dev'))));
  expect(made.train.some(({ source }) => source === OWN_ANSWERS)).toBe(true);
});

test('trains every other method beside it, and leaves the recipe as it is', async () => {
  await trainRuns(['layers', 'logits', 'spe-safety', 'dpo-both', 'modpo', 'layers-faithful'], context);
  expect(
    readdirSync(at('study'))
      .sort()
      .filter((name) => name !== KEPT_FOLDER),
  ).toEqual(
    [
      'dpo-safety',
      'dpo-both',
      'modpo',
      'spe-safety-faithful',
      'spe-helpfulness-faithful',
      'dual-faithful',
      'layers-faithful',
    ].sort(),
  );
  expect(contentsOf(at('recipe'))).toEqual(before);

  const settings = async (name: string) => (await savedSettings(at('study', name)))!;
  const { rank, alpha, learningRate } = SETTINGS.expert;
  expect(await settings('dpo-both')).toMatchObject({ seed: 7, rank, alpha, learningRate, beta: 0.25, nllWeight: 0.15 });
  expect(await settings('modpo')).toMatchObject({ beta: 0.5, margin: { model: 'cost', rule: 'modpo', scale: 1 } });
  for (const name of ['spe-safety-faithful', 'spe-helpfulness-faithful']) {
    expect(await settings(name)).toMatchObject({
      variant: 'faithful',
      ...{ rank, alpha, beta: 0.1, nllWeight: 0, epochs: 3, learningRate: 1e-5 },
      margin: { rule: 'spe', scale: 1 },
    });
  }
  expect(await settings('spe-safety-faithful')).toMatchObject({ only: 'pairs of one safe and one unsafe answer' });
  expect(await settings('layers-faithful')).toMatchObject({ variant: 'faithful', lambda: 1 });
  // Of two safe answers, no label says which is the safer one. So only the models' pairs are left.
  const dual = await readDualPairs(at('study/dual-faithful'), context.base);
  expect(new Set([...dual.train, ...dual.heldOut].map(({ source }) => source))).toEqual(new Set([OWN_ANSWERS]));
  expect(dual.train.length).toBeGreaterThan(0);

  // Nothing is left to do.
  const done = contentsOf(at('study'));
  await trainRuns(['dpo-both', 'modpo', 'layers-faithful'], context);
  expect(contentsOf(at('study')).map((line) => line.split(' ')[0])).toEqual(done.map((line) => line.split(' ')[0]));
});

test('a recipe that is not finished is an error that names the missing step', async () => {
  cpSync(at('recipe'), at('unfinished'), { recursive: true });
  rmSync(at('unfinished/steps/logits.json'));
  await expect(recipeSource(at('unfinished'))).rejects.toThrow(
    'unfinished: the step logits of the recipe is not done, wanted all up to export',
  );
  rmSync(at('unfinished/steps/pairs.json'));
  await expect(recipeSource(at('unfinished'))).rejects.toThrow('the step pairs of the recipe is not done');
});

test('pairs that are no longer those of the record are an error that names the step', async () => {
  cpSync(at('recipe'), at('changed'), { recursive: true });
  const file = at('changed/pairs/safer-dev.jsonl');
  writeFileSync(file, readFileSync(file, 'utf8').split('\n').slice(1).join('\n'));
  await expect(recipeSource(at('changed'))).rejects.toThrow(
    /what the step pairs wrote, its record says .* --redo pairs/,
  );
});

test('a folder of something else is no recipe', async () => {
  await expect(recipeSource(at('base'))).rejects.toThrow('found no recipe.json of train smollm2');
});

test('a bundle that is no longer the one of the record is an error that names the step', async () => {
  cpSync(at('recipe'), at('reweighted'), { recursive: true });
  const file = at('reweighted/bundle/plimsoll.json');
  writeFileSync(file, readFileSync(file, 'utf8').replace('"default_weight": 0.4', '"default_weight": 0.6'));
  await expect(recipeSource(at('reweighted'))).rejects.toThrow(
    /what the step export wrote, its record says .* --redo export/,
  );
});

test('the seeds of a study share base and every recorded input, and no seed', () => {
  const { base } = context;
  const second: RecipeSource = { ...source, dir: 'second', seed: 8 };
  expect(() => assertOneStudy([source, second], base)).not.toThrow();
  const found = (other: Partial<RecipeSource>) => () => assertOneStudy([source, { ...second, ...other }], base);
  expect(found({ seed: 7 })).toThrow(`second: found the seed 7, which ${at('recipe')} has too`);
  expect(found({ base: 'ab12' })).toThrow(/second: found a recipe on the base ab12, --from .*base is [0-9a-f]{64}/);
  expect(found({ served: { ...source.served, routers: [] } })).toThrow(
    'second: found bundle/plimsoll.json: router = [], in',
  );

  expect(Object.values(source.inputs).filter((inputs) => 'seed' in inputs)).toEqual([]);
  const { inputs } = source;
  const changed = <Step extends keyof typeof inputs>(step: Step, own: Record<string, unknown>) =>
    found({ inputs: { ...inputs, [step]: { ...inputs[step], ...own } } });
  expect(changed('export', { scale: 0.25 })).toThrow(
    `second: found steps/export.json: inputs.scale = 0.25, in ${at('recipe')} it is 1: the folders of a study differ in their seed alone`,
  );
  expect(changed('data', { files: 'cd34' })).toThrow('steps/data.json: inputs.files = "cd34", in');
  expect(changed('cost', { epochs: 2 })).toThrow('steps/cost.json: inputs.epochs = 2, in');
  expect(changed('probes', { files: undefined })).toThrow('steps/probes.json: inputs.files = unset, in');
  expect(changed('dual', { more: true })).toThrow(/inputs\.more = true, in .* it is unset/);
});
