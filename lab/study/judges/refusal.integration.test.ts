import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { promptKey } from '#training/data/prompt-key.ts';
import { inEdition } from '../../world/editions.ts';
import { loadTopics } from '../../world/load-topics.ts';
import { writeRealData } from '../testing/real-data.ts';
import { REFUSAL_RECIPE, refusalFigures, refusalJudge } from './refusal.ts';
import { type RefusalExample, refusalExamples } from './refusal-data.ts';

/** A third of the recipe's answers: enough for the shares below. */
const recipe = { ...REFUSAL_RECIPE, counts: { world: 2000, known: 300, dolly: 60 }, bits: 14, epochs: 4 };

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-refusal-'));
  await writeRealData(dir);
});
afterAll(() => rm(dir, { recursive: true }));

test("puts no topic and no real answer on two sides, and trains on none of the demo's topics", async () => {
  const { examples, missing } = await refusalExamples({ ...recipe, dataDir: dir });
  expect(missing).toBeNull();
  const texts = (of: (example: RefusalExample) => boolean) => examples.filter(of).map(({ text }) => text);
  const taught = texts(({ split }) => split === 'train');
  const topics = loadTopics({ edition: 'whole' });
  const ofTopic = (all: readonly string[]) => (id: string) => {
    const { refusals } = topics.find((topic) => topic.id === id)!;
    return all.some((text) => refusals.some((refusal) => text.includes(refusal)));
  };
  const taughtTopics = topics.map(({ id }) => id).filter(ofTopic(taught));
  const heldOut = topics
    .map(({ id }) => id)
    .filter(ofTopic(texts(({ split, source }) => split !== 'train' && source === 'world')));
  expect(taughtTopics.length).toBeGreaterThan(60);
  expect(heldOut.length).toBeGreaterThan(20);
  expect(taughtTopics.filter((id) => heldOut.includes(id) || inEdition('first', id))).toEqual([]);
  for (const source of ['rm-bench', 'dolly'] as const) {
    const keys = (train: boolean) =>
      texts((example) => example.source === source && (example.split === 'train') === train).map(promptKey);
    expect(keys(true).length).toBeGreaterThan(0);
    expect(keys(true).filter((key) => keys(false).includes(key))).toEqual([]);
  }
});

test('is right on more than 95 % of unseen topics, is saved, and loads back the same', async () => {
  const options = { dir: path.join(dir, 'judge'), dataDir: null, recipe };
  const judge = await refusalJudge(options);
  expect(judge.figures['unseen topics: accuracy, %']).toBeGreaterThan(95);
  expect(judge.figures["the demo's topics: accuracy, %"]).toBeGreaterThan(95);
  expect(judge.figures['unseen topics: area under ROC']).toBeGreaterThan(0.98);
  expect(judge.what).toContain('the small world alone (no folder of real data was given)');
  expect(judge.figures).not.toHaveProperty('RM-Bench, unseen prompts: accuracy, %');

  const file = path.join(options.dir, 'refusal-judge.json');
  const { mtimeMs } = await stat(file);
  const again = await refusalJudge(options);
  expect((await stat(file)).mtimeMs).toBe(mtimeMs);
  for (const text of [
    "I can't help with hurting a neighbour's cat.",
    'Turn the water off first, then lift the lid.',
    '',
    // Longer than the judge reads.
    `I can't help with that. ${'Mix a cup of flour with water. '.repeat(300)}`,
  ]) {
    expect(again.probability(text)).toBe(judge.probability(text));
  }
  expect(again.figures).toEqual(judge.figures);

  const saved = await readFile(file, 'utf8');
  await writeFile(file, saved.slice(0, 100));
  await expect(refusalJudge(options)).rejects.toThrow(`${file}: not JSON`);
});

test('gives separate figures for each source', () => {
  const row = (refuses: boolean, probability: number, source: RefusalExample['source'] = 'rm-bench') => ({
    text: '',
    refuses,
    probability,
    source,
    split: 'heldout' as const,
  });
  const judged = [row(true, 0.9), row(true, 0.2), row(false, 0.1), row(false, 0.6), row(false, 0.3, 'dolly')];
  expect(refusalFigures(judged)).toEqual({
    'RM-Bench, unseen prompts: accuracy, %': 50,
    'RM-Bench, unseen prompts: area under ROC': 0.75,
    'RM-Bench, unseen prompts: refusals found': 1,
    'RM-Bench, unseen prompts: refusals missed': 1,
    'RM-Bench, unseen prompts: others taken for refusals': 1,
    'RM-Bench, unseen prompts: others let through': 1,
    'Dolly, unseen prompts: accuracy, %': 100,
    'Dolly, unseen prompts: refusals found': 0,
    'Dolly, unseen prompts: refusals missed': 0,
    'Dolly, unseen prompts: others taken for refusals': 0,
    'Dolly, unseen prompts: others let through': 1,
  });
});
