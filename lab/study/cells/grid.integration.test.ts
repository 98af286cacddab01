import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { OPEN_LINE } from '#shared/line/line.ts';
import { baseCorpus } from '#training/stages/base-corpus.ts';
import { loadBaseModel } from '#training/stages/base-model.ts';
import { sftStage } from '#training/stages/sft.ts';
import { tokenizerStage } from '#training/stages/tokenizer.ts';
import { TINY_WORLD } from '#training/testing/tiny-model.ts';
import { openTokenizer, readChatFiles } from '#training/tokenizer/chat-files.ts';
import type { RunContext } from '../../methods/runs.ts';
import { worldSource } from '../../methods/world-source.ts';
import { heldOutDialogues, worldDialogues } from '../../world/training-data.ts';
import { attackPrefix, attackSet, worldSet } from '../questions/questions.ts';
import { collectResults } from './collect-results.ts';
import { type GridOptions, runGrid } from './grid.ts';
import { judgeCells } from './judge-cells.ts';

const config = TINY_WORLD;

let dir: string;
let options: GridOptions;

beforeAll(async () => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-study-'));
  const at = (name: string) => path.join(dir, name);
  const corpus = await baseCorpus({
    seed: 1,
    generated: worldDialogues({ seed: 1, count: 40 }),
    realShare: 0,
    dataDir: null,
  });
  await tokenizerStage({ corpus, out: at('tokenizer'), vocabSize: config.vocab_size });
  const tokenizer = openTokenizer(await readChatFiles(at('tokenizer')));
  await sftStage({
    resume: false,
    seed: 1,
    tokenizer,
    threads: 1,
    steps: 2,
    tokensPerBatch: 512,
    learningRate: 1e-3,
    promptWeight: 0.2,
    opening: { tokens: 0, weight: 1 },
    config,
    from: null,
    corpus,
    heldOut: heldOutDialogues({ seed: 1 }),
    corpusSettings: {},
    out: at('sft'),
  });
  const base = await loadBaseModel(at('sft'), tokenizer);
  const context: RunContext = {
    dir: at('seed-1'),
    seed: 1,
    source: worldSource({ seed: 1, edition: 'first', worldPairs: 16 }),
    base,
    tokenizer,
    threads: 1,
  };
  const whole = worldSet({ edition: 'first', seed: 1 });
  const refused = whole.questions[2]!;
  options = {
    contexts: [context],
    served: context.source.served,
    tokenizerDir: at('tokenizer'),
    world: { ...whole, questions: whole.questions.slice(0, 4) },
    real: [],
    study: 'world',
    sampling: { temperature: 1, topP: 1, seed: 1, maxTokens: 6 },
    tenants: {
      strict: () => ({ line: { ...OPEN_LINE, floor: 1 } }),
      balanced: ([message]) =>
        message === refused.messages[0] ? { refusal: 'Refused.' } : { line: { ...OPEN_LINE, floor: 0.75 } },
      open: () => ({ line: OPEN_LINE }),
    },
    methods: ['base', 'soup-0.25', 'sequential'],
    make: true,
  };
});
afterAll(async () => {
  vi.restoreAllMocks();
  await rm(dir, { recursive: true });
});

test('trains what methods need, answers every cell, and makes nothing twice', async () => {
  const before = await runGrid({ ...options, make: false });
  expect(before.missing).toEqual([
    'seed 1: base on small world',
    ...[0, 5, 10, 20].map((depth) => `seed 1: base on prefill attack${depth ? `, depth ${depth}` : ''}`),
    'seed 1: H then S (not trained: dpo-helpfulness, sequential)',
    'seed 1: soup 0.25 (not trained: dpo-safety, dpo-helpfulness)',
  ]);

  const first = await runGrid(options);
  expect(first.missing).toEqual([]);
  const { dir: runs } = options.contexts[0]!;
  const files = await readdir(path.join(runs, 'answers'));
  // One headline method answers the world and four depths, and two methods answer only the world.
  expect(files).toHaveLength(7);
  expect(await readdir(runs)).not.toContain('study-bundle');

  const texts = (cells: typeof first.cells) => cells.map(({ answers }) => answers.map(({ text }) => text));
  const again = await runGrid({ ...options, make: false });
  expect(texts(again.cells)).toEqual(texts(first.cells));

  // A file of answers with a different origin is made again, with the same answers.
  const file = path.join(runs, 'answers', files[0]!);
  const kept = await readFile(file, 'utf8');
  await writeFile(file, kept.replace('"bundle":"', '"bundle":"f'));
  expect((await runGrid({ ...options, make: false })).missing).toHaveLength(1);
  expect(texts((await runGrid(options)).cells)).toEqual(texts(first.cells));

  const results = await collectResults(options, first, {
    judge: null,
    judges: [],
    missing: ['two seeds'],
    learnedFrom: 'its pairs',
  });
  expect(results.missing[0]).toBe('two seeds');
  expect(results.missing[1]).toContain('MODPO');
  const sequential = results.methods.find(({ id }) => id === 'sequential')!;
  const tokens = (name: string) => results.runs.find((run) => run.name === name)!.tokens;
  expect(sequential.trainedTokens).toBe(tokens('dpo-helpfulness') + tokens('sequential'));
  for (const { answers } of results.cells) {
    for (const { figures } of answers) {
      expect([0, 1]).toContain(figures.unsafe);
      expect(figures.recall).toBeGreaterThanOrEqual(0);
    }
  }
});

test('answers under system prompts and with other decoders, and makes nothing twice', async () => {
  const methods = ['base-prompted', 'prompted-0.5', 'safe-decoding'];
  const grid = await runGrid({ ...options, methods });
  expect(grid.missing).toEqual([]);
  expect(grid.cells.map(({ method }) => method.id).sort()).toEqual(methods);
  const answersOf = (id: string) => grid.cells.find(({ method }) => method.id === id)!.answers;
  // SafeDecoding steers two tokens, then the base answers alone.
  for (const { weights } of answersOf('safe-decoding')) {
    expect(weights).toEqual(weights.map((_, t) => (t < 2 ? 1 : 0)));
  }
  for (const { weights } of answersOf('prompted-0.5')) expect(new Set(weights)).toEqual(new Set([0.5]));
  const again = await runGrid({ ...options, methods, make: false });
  expect(again.missing).toEqual([]);
  expect(again.cells.map(({ answers }) => answers)).toEqual(grid.cells.map(({ answers }) => answers));
});

test('answers each question under the line that a tenant has for it, or with the text of its refusal', async () => {
  const grid = await runGrid({ ...options, methods: ['balanced'] });
  const [cell] = grid.cells.filter(({ set }) => set.id === 'world');
  expect(cell!.answers.map(({ text }) => text === 'Refused.')).toEqual([false, false, true, false]);
  for (const { text, weights } of cell!.answers) {
    if (text === 'Refused.') expect(weights).toEqual([]);
    else expect(Math.min(...weights)).toBeGreaterThanOrEqual(0.75);
  }
  const [judged] = await judgeCells([cell!], null);
  expect(judged!.answers[2]!.figures).toMatchObject({ refuses: 1, unsafe: 0, recall: 0 });
  const again = await runGrid({ ...options, methods: ['balanced'], make: false });
  expect(again.cells).toEqual(grid.cells);
});

test("begins an attack with the question's own hazard, and a deeper attack with the shallower one", () => {
  const [question] = attackSet(worldSet({ edition: 'first', seed: 1 })).questions;
  const { tokenizer } = options.contexts[0]!.tokenizer;
  const prefix = (depth: number) => attackPrefix(question!, { depth, tokenizer });
  expect(prefix(0)).toEqual([]);
  expect(prefix(5)).toHaveLength(5);
  expect(prefix(20).slice(0, 5)).toEqual(prefix(5));
});

test('asks nothing of a seed without its runs but what needs none, and nothing that is measured already', async () => {
  const [context] = options.contexts;
  const grid = await runGrid({
    ...options,
    contexts: [{ ...context!, dir: `${context!.dir}-lost`, source: null }],
    methods: ['base', 'soup-0.25'],
    measured: ({ method, set, seed, depth }) => method === 'base' && set === 'prefill' && seed === 1 && depth > 0,
  });
  expect(grid.missing).toEqual(['seed 1: all else of soup 0.25: its runs are not at hand']);
  expect(grid.cells.map(({ method, set, depth }) => [method.id, set.id, depth])).toEqual([
    ['base', 'world', 0],
    ['base', 'prefill', 0],
  ]);
});
