/** Labelled answers, states, fits and verdicts, on a tiny base and made-up data. */
import { mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { loadBundle, openBundle } from '#gpu-backend/model/load-bundle.ts';
import { slowDecoder } from '#gpu-backend/model/testing/slow-decoder.ts';
import { type BaseModel, openBase } from '#training/stages/base-model.ts';
import { writeTinyBase } from '../../smollm2/fixtures/tiny-recipe.ts';
import type { QuestionSet } from '../questions/questions.ts';
import type { AnswerRecord } from '../results/answers.ts';
import { writeRealData } from '../testing/real-data.ts';
import { AnswerReader, type ReadBase } from './answer-states.ts';
import { JUDGES, type JudgeRecipe } from './learn-judges.ts';
import { realJudges } from './real-judges.ts';

const few = 24;
const recipe: JudgeRecipe = {
  ...JUDGES,
  counts: {
    ...{ 'refusal-direction': few, 'steered-refusals': 10, 'rm-bench': 10, diasafety: few, world: few },
    ...{ 'safe-answers': 10, ordinary: 10, pku: 12, hh: 10, 'alpaca-eval': 10, 'helpful-mixed': 10 },
  },
  steps: 80,
};

let root: string;
let base: BaseModel;
let sets: QuestionSet[];
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'plimsoll-real-judges-'));
  await writeRealData(path.join(root));
  await writeTinyBase(path.join(root, 'base'));
  base = await openBase(path.join(root, 'base'));
  const messages = [{ role: 'user' as const, content: 'How do I fly a kite?' }];
  const question = { id: '1', topic: '1', messages, kind: null, category: null };
  sets = [{ id: 'real', label: '', what: '', world: false, questions: [question] }];
});
afterAll(() => rm(root, { recursive: true }));
beforeEach(() => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
});
afterEach(() => {
  vi.restoreAllMocks();
});

const options = (name: string) => ({
  ...{ dir: path.join(root, name), base, tokenizerDir: base.dir, dataDir: root, sets, threads: 1, recipe },
  make: true,
});
const asked = (...texts: string[]) =>
  // The judges read only a record's text.
  texts.map((text) => ({ question: sets[0]!.questions[0]!, answer: { text } as AnswerRecord }));

test('makes the judges once, with their figures, and says the same of an answer alone and among others', async () => {
  const made = await realJudges(options('judges'));
  expect(made.judges.map(({ name }) => name)).toEqual(['refusal', 'harm', 'helpfulness']);
  const [refusal, harm, helpfulness] = made.judges.map(({ figures }) => figures);
  for (const figures of [refusal!, harm!]) {
    expect(figures['held-out answers']).toBeGreaterThan(20);
    expect(figures['accuracy, %']).toBeGreaterThanOrEqual(50);
    expect(figures['area under ROC']).toBeGreaterThan(0.5);
  }
  expect(harm!['held-out pairs']).toBeGreaterThan(15);
  expect(helpfulness!['held-out pairs']).toBe(20);
  // Every good answer of the fixture is longer than the bad one, so no judge can beat length.
  expect(helpfulness!['pairs that length alone orders right, %']).toBe(100);
  expect(made.judges[2]!.what).toMatch(/not used/);
  expect(made.missing).toEqual([expect.stringContaining('helpfulness of real answers')]);
  await made.close();

  const file = path.join(root, 'judges/judges.json');
  const [text, { mtimeMs }] = [await readFile(file, 'utf8'), await stat(file)];
  const again = await realJudges({ ...options('judges'), make: false });
  expect((await stat(file)).mtimeMs).toBe(mtimeMs);
  expect(again.judges).toEqual(made.judges);
  const texts = [
    '',
    'I cannot assist with this: it is wrong.',
    'Take a kite and a friend.',
    'No idea, do as you like 3.',
  ];
  const together = await again.judge!(asked(...texts));
  for (const [i, one] of texts.entries()) {
    expect([0, 1]).toContain(together[i]!.refuses);
    expect(together[i]).toEqual((await again.judge!(asked(one)))[0]);
    expect(Object.keys(together[i]!).sort()).toEqual(['refuses', 'unsafe']);
  }
  const kept = () => readFile(path.join(root, 'judges/verdicts.jsonl'), 'utf8');
  const before = await kept();
  expect(before.split('\n').length).toBe(1 + texts.length + 1);
  expect(await again.judge!(asked(...texts))).toEqual(together);
  expect(await kept()).toBe(before);
  // Longer than the base's context of 2,048 bytes.
  const long = { ...sets[0]!.questions[0]!, messages: [{ role: 'user' as const, content: 'why '.repeat(600) }] };
  expect(await again.judge!([{ ...asked('Yes.')[0]!, question: long }])).toEqual([{}]);
  await again.close();

  await writeFile(file, text.slice(0, 100));
  await expect(realJudges(options('judges'))).rejects.toThrow(`${file}: not JSON`);
});

test('judges nothing, and says why, without data or without judges', async () => {
  const none = async (changes: object) => (await realJudges({ ...options('none'), ...changes })).missing;
  expect(await none({ dataDir: null })).toEqual(['judges of real answers: no folder of real data was given']);
  expect(await none({ make: false })).toEqual(['judges of real answers: they have not been made']);
  expect(await none({ sets: [] })).toEqual([]);
});

test('states are those of the base over the answer, are read once, and survive a stop', async () => {
  const dir = path.join(root, 'states');
  let opened = 0;
  const open = () => {
    opened++;
    return openBundle(base.dir);
  };
  const reading: ReadBase = { ...base, open };
  const prompt = sets[0]!.questions[0]!.messages;
  const answers = ['Hold on.', 'Run with it, then let go.', ''].map((answer) => ({ prompt, answer }));
  const read = async () => {
    const reader = new AnswerReader(reading, { dir, threads: 1 });
    const found = await reader.read(answers);
    await reader.close();
    return found;
  };
  const first = await read();
  const bundle = await loadBundle(base.dir);
  const [layer] = [...first.blocks.keys()].map((name) => Number(name.split('.')[0]));
  for (const [place, { answer }] of answers.entries()) {
    const head = base.tokenizer.renderChat(prompt, { addGenerationPrompt: true });
    const ids = [...head, ...base.tokenizer.tokenizer.encode(answer)];
    const { states } = slowDecoder(bundle, ids, () => ({ safety: 0, helpfulness: 0 }));
    const own = states.slice(Math.min(head.length, ids.length - 1)).map((token) => token[layer!]!);
    const mean = Array.from(own[0]!, (_, k) => own.reduce((sum, state) => sum + state[k]!, 0) / own.length);
    for (const [pooling, wanted] of [
      ['mean', mean],
      ['last', [...own.at(-1)!]],
    ] as const) {
      const { width, data } = first.blocks.get(`${layer!}.${pooling}`)!;
      const found = [...data.subarray(place * width, (place + 1) * width)];
      expect(Math.max(...wanted.map((value, k) => Math.abs(value - found[k]!)))).toBeLessThan(1e-3);
    }
  }
  expect(await read()).toEqual(first);
  expect(opened).toBe(1);
  // An answer's prompt is read with it.
  const reader = new AnswerReader(reading, { dir: path.join(root, 'states-with-prompts'), threads: 1 });
  await reader.read(answers.slice(0, 1));
  await reader.close();
  const blank = await reader.read(answers.slice(2));
  expect(opened).toBe(2);
  for (const [name, { width, data }] of blank.blocks) {
    const alone = first.blocks.get(name)!.data.subarray(2 * width, 3 * width);
    expect(Math.max(...alone.map((value, k) => Math.abs(value - data[k]!)))).toBeLessThan(1e-3);
  }
  opened = 1;

  // A stop between the states and their keys, or in the middle of either.
  const keys = path.join(dir, 'keys.txt');
  await truncate(keys, (await stat(keys)).size - 70);
  expect(await read()).toEqual(first);
  expect(opened).toBe(2);
  const states = path.join(dir, 'states.f32');
  await truncate(states, (await stat(states)).size - 10);
  expect(await read()).toEqual(first);
  expect(opened).toBe(3);
  expect(await read()).toEqual(first);
  expect(opened).toBe(3);
  expect(() => new AnswerReader({ ...reading, digest: 'another' }, { dir, threads: 1 })).toThrow(
    /settings\.json: base: found .*, wanted "another"/,
  );
});
