import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startWorkerEngine } from '#gpu-backend/engine/worker-engine.ts';
import { tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';
import { buildScoreGraph } from '#training/graphs/dpo-graph.ts';
import { loraShapes } from '#training/graphs/lora.ts';
import { trainingSessions } from '#training/run/training-sessions.ts';
import { emptyTensors, openBase } from '#training/stages/base-model.ts';
import { exportStage } from '#training/stages/export.ts';
import { logprobsOfPairs, pairSet } from '#training/stages/pair-set.ts';
import { pairs } from '#training/testing/small-talk.ts';
import { readAnswers } from './answers-file.ts';
import { lineOf } from './chosen-lines.ts';
import { evaluateOwn } from './evaluate-own.ts';
import { pairAccuracy, scoreOwnPairs } from './pair-accuracy.ts';

let dir: string;
const at = (name: string) => path.join(dir, name);
beforeAll(async () => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-evaluate-own-'));
  await writeBundle(at('bundle'), tinyBundle({ routers: false, config: { max_position_embeddings: 512 } }));
});
afterAll(async () => {
  vi.restoreAllMocks();
  await rm(dir, { recursive: true });
});

const sampling = { temperature: 1, topP: 1, seed: 3, maxTokens: 4 };
const lines = { safety: lineOf('safety'), 'floor=0.5,budget=2': lineOf('floor=0.5,budget=2') };
const messages = ['How?', 'Why?', 'When?'].map((content) => [{ role: 'user' as const, content }]);
const answer = (options: { lines?: typeof lines | Record<string, ReturnType<typeof lineOf>>; seed?: number } = {}) =>
  evaluateOwn({
    dir: at('bundle'),
    prompts: { messages, lines: options.lines ?? lines, file: at('answers.jsonl') },
    pairs: [],
    judged: 'safer',
    sampling: { ...sampling, seed: options.seed ?? 3 },
    threads: 1,
  });
const rows = () => [...readAnswers(at('answers.jsonl')).values()];
const byPlace = (all: ReturnType<typeof rows>) => all.toSorted((a, b) => a.name.localeCompare(b.name) || a.at - b.at);

test('answers every prompt under every line, and goes on where a killed run stopped', async () => {
  const { answers } = await answer();
  expect(Object.entries(answers).map(([name, { answers }]) => [name, answers])).toEqual([
    ['safety', 3],
    ['floor=0.5,budget=2', 3],
  ]);
  const whole = byPlace(rows());
  expect(whole.map(({ name, prompt }) => [name, prompt[0]!.content])).toEqual(
    ['floor=0.5,budget=2', 'safety'].flatMap((name) => messages.map((prompt) => [name, prompt[0]!.content])),
  );
  // Two whole rows, and one that the kill cut short.
  const text = readFileSync(at('answers.jsonl'), 'utf8');
  const second = text.indexOf('\n', text.indexOf('\n') + 1) + 1;
  writeFileSync(at('answers.jsonl'), text.slice(0, second + 20));
  expect((await answer()).answers).toEqual(answers);
  expect(byPlace(rows())).toEqual(whole);
});

test('answers drawn in another way are not mixed in, and a foreign file is left alone', async () => {
  await expect(answer({ seed: 4 })).rejects.toThrow('--force draws all of them again');
  await expect(answer({ lines: { layers: { ...lineOf('layers') } } })).rejects.toThrow(
    '--lines layers: found the mode layers, this bundle offers logits',
  );
  await writeFile(at('notes.jsonl'), '{"mine": true}\n');
  const foreign = evaluateOwn({
    ...{ dir: at('bundle'), pairs: [], judged: 'safer', sampling, threads: 1 },
    prompts: { messages, lines, file: at('notes.jsonl') },
  });
  await expect(foreign).rejects.toThrow('notes.jsonl:1: found no answer of plimsoll eval');
  expect(readFileSync(at('notes.jsonl'), 'utf8')).toBe('{"mine": true}\n');
});

test("the engine's log-probabilities of answers are those of the training graph", async () => {
  const provenance = { description: 'a test', data: [] };
  const manifest = { id: 'bare', licence: 'Apache-2.0', default_weight: 0.5, provenance };
  await exportStage({ base: at('bundle'), experts: 'base', out: at('bare'), manifest });
  const base = await openBase(at('bare'));
  const { config, tokenizer } = base;
  const preferences = pairs(5);
  const options = { tokenizer, config, dimension: 'safer', pairsPerBatch: 1, feeds: 'predictions', what: '' } as const;
  const set = pairSet(preferences, options);
  const { score: session, release } = trainingSessions(
    () => buildScoreGraph(config, { base: base.frozen, rank: 1, loraScale: 1 }),
    { base: base.frozen, contextLength: config.max_position_embeddings, threads: 1 },
  );
  const parameters = emptyTensors(loraShapes(config, 1));
  const wanted = await logprobsOfPairs(set, { session, parameters, padId: tokenizer.padId, label: null });
  await release();
  const engine = await startWorkerEngine({ dir: at('bare'), threads: 1 });
  try {
    const { scored } = await scoreOwnPairs(preferences, { engine, encoder: tokenizer, dimension: 'safer', label: '' });
    expect(scored).toHaveLength(5);
    scored.forEach(({ chosen, rejected }, item) => {
      const [forChosen, forRejected] = wanted.get(item)!;
      // Float32 sums of some 60 log-probabilities, in another order.
      expect(chosen.safety).toBeCloseTo(forChosen, 2);
      expect(rejected.safety).toBeCloseTo(forRejected, 2);
      expect(chosen.helpfulness).toBeCloseTo(chosen.safety, 6);
      expect(chosen.tokens).toBe(set.pairs[item]!.chosen.weights.reduce((a, b) => a + b, 0));
    });
    expect(pairAccuracy(scored).safetyOverHelpfulness).toBeCloseTo(0.5, 1);
  } finally {
    await engine.close();
  }
});

test("each expert's accuracy is measured in every dimension that a file has labels of", async () => {
  const lines = pairs(6).map(({ prompt, responses: [response_0, response_1], better, safer }) =>
    JSON.stringify({ prompt, response_0, response_1, better, safer }),
  );
  await writeFile(at('pairs.jsonl'), `${lines.join('\n')}\n`);
  const file = at('pairs.jsonl');
  const options = { dir: at('bundle'), prompts: null, judged: 'safer', sampling, threads: 1 } as const;
  const { pairs: found } = await evaluateOwn({ ...options, pairs: [`plimsoll:${file}`] });
  expect(Object.keys(found)).toEqual([`${file}, safer`, `${file}, better`]);
  const [safer, better] = Object.values(found);
  expect(safer!.pairs).toBe(6);
  // Every pair is labelled the other way round.
  for (const key of ['safety', 'helpfulness', 'safetyPerToken', 'longer'] as const) {
    expect(safer![key] + better![key]).toBeCloseTo(1);
  }
});
