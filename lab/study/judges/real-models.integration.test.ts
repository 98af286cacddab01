import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { promptKey } from '#training/data/prompt-key.ts';
import { TINY } from '#training/testing/tiny-model.ts';
import { DEMO } from '../../methods/recipe.ts';
import type { QuestionSet } from '../questions/questions.ts';
import { type SetOptions, studySets } from '../questions/sets.ts';
import { writeRealData } from '../testing/real-data.ts';
import { judgeData } from './real-data.ts';
import { JUDGES, type JudgeRecipe, realModels } from './real-models.ts';

const score = { rank: 2, alpha: 4, learningRate: 1e-2, pairsPerBatch: 8, epochs: 1 };
const recipe: JudgeRecipe = {
  seed: 5,
  config: {
    ...TINY,
    vocab_size: 300,
    hidden_size: 16,
    intermediate_size: 24,
    max_position_embeddings: 256,
    eos_token_id: 5,
  },
  corpus: { worldDialogues: 10, realDialogues: 150, maxCharacters: 220 },
  sft: { steps: 2, tokensPerBatch: 512, learningRate: 1e-3, promptWeight: 0.2, opening: { tokens: 0, weight: 1 } },
  score: { reward: score, cost: score },
};

let dir: string;
let sets: QuestionSet[];
beforeAll(async () => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-judges-'));
  await writeRealData(dir);
  const options: SetOptions = {
    seed: 1,
    edition: 'first',
    dataDir: dir,
    perSource: 100,
    promptTokens: () => 1,
    maxPromptTokens: 1,
  };
  sets = (await studySets(options, ['real-safety', 'real-helpful'])).sets;
});
afterAll(async () => {
  vi.restoreAllMocks();
  await rm(dir, { recursive: true });
});

test('gives the judges a different shape and seed from the models that they judge', () => {
  expect(JUDGES.seed).not.toBe(DEMO.seed);
  expect(JUDGES.config.hidden_size).not.toBe(DEMO.config.hidden_size);
  expect(JUDGES.config.num_hidden_layers).not.toBe(DEMO.config.num_hidden_layers);
});

test('never reads, learns from or measures on a prompt that the study asks', async () => {
  const { corpus, pairs } = await judgeData({ ...recipe, dataDir: dir, sets });
  const asked = new Set(
    sets.flatMap(({ questions }) => questions.map(({ messages }) => promptKey(messages[0]!.content))),
  );
  expect(asked.size).toBeGreaterThan(50);
  const prompts = [
    ...corpus.dialogues.map(({ messages }) => messages[0]!.content),
    ...corpus.heldOutReal.map(({ messages }) => messages[0]!.content),
    ...Object.values(pairs).flatMap(({ train, heldOut }) =>
      [...train, ...heldOut].map(({ prompt }) => prompt[0]!.content),
    ),
  ];
  expect(prompts.filter((prompt) => asked.has(promptKey(prompt)))).toEqual([]);
  for (const { train, heldOut } of Object.values(pairs)) {
    expect(train.length).toBeGreaterThan(heldOut.length);
    expect(heldOut.length).toBeGreaterThan(0);
  }
  expect(corpus.counts).toEqual({ 'plimsoll-world': 10, real: 150 });
});

test('stops if a set asks what the judges learn from', async () => {
  const { pairs } = await judgeData({ ...recipe, dataDir: dir, sets });
  const [question] = sets[0]!.questions;
  const leaking: QuestionSet = {
    ...sets[0]!,
    id: 'leaking',
    questions: [{ ...question!, messages: [...pairs.safer.train[0]!.prompt] }],
  };
  await expect(judgeData({ ...recipe, dataDir: dir, sets: [leaking] })).rejects.toThrow(/^leak: .*the set leaking/);
});

test('names what is missing if there is no data', async () => {
  const options = { dir: path.join(dir, 'never'), sets: [], threads: 1, recipe };
  const cannot = 'the judges of real text cannot be trained: ';
  await expect(realModels({ ...options, dataDir: null })).rejects.toThrow(`${cannot}no folder of real data was given`);
  const gone = path.join(dir, 'gone');
  await expect(realModels({ ...options, dataDir: gone })).rejects.toThrow(`${cannot}there is no folder ${gone}`);
});

test('trains the judges once, and gives every answer that fits the same score alone and among others', async () => {
  const options = { dir: path.join(dir, 'judges'), dataDir: dir, sets, threads: 1, recipe };
  const { reward, judges } = await realModels(options);
  expect(judges.map(({ name }) => name)).toEqual(["judges' base", 'reward', 'cost']);
  for (const { figures } of judges.slice(1)) {
    expect(figures['held-out pairs ordered right, %']).toBeGreaterThanOrEqual(0);
    // In the fixture, every good answer is longer than the bad one.
    expect(figures['held-out pairs that length alone orders right, %']).toBe(100);
    expect(figures['pairs held out by prompt']).toBeGreaterThan(0);
  }
  const metrics = path.join(options.dir, 'cost/metrics.jsonl');
  const before = [await readFile(metrics, 'utf8'), (await stat(metrics)).mtimeMs];
  const again = await realModels(options);
  expect([await readFile(metrics, 'utf8'), (await stat(metrics)).mtimeMs]).toEqual(before);

  const prompt = sets[0]!.questions[0]!.messages;
  const answers = ['Yes.', 'word '.repeat(400), 'No, not like that.'].map((answer) => ({ prompt, answer }));
  const scores = await again.cost(answers);
  expect(scores[1]).toBeNull();
  for (const i of [0, 2]) {
    expect(scores[i]).toBeTypeOf('number');
    expect((await again.cost([answers[i]!]))[0]).toBeCloseTo(scores[i]!, 5);
  }
  expect(scores[0]).not.toBe(scores[2]);
  expect(await reward([])).toEqual([]);
  const other = { ...recipe, sft: { ...recipe.sft, learningRate: 2e-3 } };
  await expect(realModels({ ...options, recipe: other })).rejects.toThrow('was made with learningRate');
});
