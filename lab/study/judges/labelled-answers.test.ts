import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { openingTurn } from '#training/data/prompt-key.ts';
import { splitOf, textKey, topicKey } from '../../split/split.ts';
import { inEdition } from '../../world/editions.ts';
import { loadTopics } from '../../world/load-topics.ts';
import type { QuestionSet } from '../questions/questions.ts';
import { writeRealData } from '../testing/real-data.ts';
import { JUDGE_SOURCES, type JudgeCounts, type JudgeData, type JudgeSource, judgeData } from './labelled-answers.ts';

// Object.keys widens the keys of a closed record to string.
const SOURCES = Object.keys(JUDGE_SOURCES) as JudgeSource[];
const countsOf = (count: number) => Object.fromEntries(SOURCES.map((source) => [source, count])) as JudgeCounts;

const answerTokens = (answer: string) => answer.split(' ').length;

let dir: string;
let data: JudgeData;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-labelled-'));
  await writeRealData(dir);
  data = await judgeData({ dataDir: dir, counts: countsOf(60), sets: [], answerTokens });
});
afterAll(() => rm(dir, { recursive: true }));

test("holds only prompts and topics of the judges' part", () => {
  const topics = loadTopics({ edition: 'whole' }).map(({ id }) => id);
  for (const { source, key, prompt } of data.answers) {
    expect(splitOf(key)).toBe('judge');
    if (source === 'world') {
      const topic = topics.find((id) => topicKey(id) === key)!;
      expect(inEdition('first', topic)).toBe(false);
    } else expect(key).toBe(textKey(openingTurn(prompt)));
  }
});

test('leaves out a prompt that is nearly the same as one of any set, and goes on with the next', async () => {
  const own = await mkdtemp(path.join(tmpdir(), 'plimsoll-labelled-'));
  onTestFinished(() => rm(own, { recursive: true }));
  await writeRealData(own);
  const all = data.answers.filter(({ source }) => source === 'diasafety').map(({ prompt }) => prompt[0]!.content);
  // Somebody asks the same in a few more words, in a part that is asked.
  const [text, twin] = all
    .flatMap((near) => ['today', 'please', 'now', 'tomorrow', 'soon'].map((word) => [near, `${near} ${word}`] as const))
    .find(([, longer]) => splitOf(textKey(longer)) === 'test')!;
  const file = path.join(own, 'instr_rasbt_1100.jsonl.gz');
  const row = { instruction: twin, input: '', output: 'Yes.', source: 'rasbt/LLMs-from-scratch' };
  await appendFile(file, gzipSync(`${JSON.stringify(row)}\n`));
  const left = (await judgeData({ dataDir: own, counts: countsOf(60), sets: [], answerTokens })).answers;
  const kept = left.filter(({ source }) => source === 'diasafety').map(({ prompt }) => prompt[0]!.content);
  expect(all).toContain(text);
  expect(kept).not.toContain(text);
  expect(new Set(kept)).toEqual(new Set(all.filter((other) => other !== text)));
});

test('leaves out answers that are too long to read whole, and pairs with one', async () => {
  const isLong = (answer: string) => answer.startsWith('Take your time') && answer.includes(' night fair');
  const options = { dataDir: dir, counts: countsOf(60), sets: [] };
  const left = await judgeData({ ...options, answerTokens: (answer) => (isLong(answer) ? 161 : 160) });
  const of = (answers: JudgeData['answers'], source: JudgeSource) => answers.filter((row) => row.source === source);
  expect(of(data.answers, 'refusal-direction').some(({ answer }) => isLong(answer))).toBe(true);
  expect(of(data.answers, 'rm-bench').length).toBeGreaterThan(0);
  expect(left.answers.some(({ answer }) => isLong(answer))).toBe(false);
  // Every compliance of it is long, so its refusals go too.
  expect(of(left.answers, 'rm-bench')).toEqual([]);
  expect(of(left.answers, 'hh')).toEqual(of(data.answers, 'hh'));
});

test('labels answers as their sources do', () => {
  const labels = (source: JudgeSource) =>
    new Set(data.answers.filter((row) => row.source === source).map(({ refuses, harmful }) => `${refuses} ${harmful}`));
  expect(labels('refusal-direction')).toEqual(new Set(['null false', 'false true']));
  expect(labels('diasafety')).toEqual(new Set(['null false', 'null true']));
  expect(labels('rm-bench')).toEqual(new Set(['true false', 'false true']));
  expect(labels('steered-refusals')).toEqual(new Set(['true false', 'false false']));
  expect(labels('ordinary')).toEqual(new Set(['false false']));
  expect(labels('safe-answers')).toEqual(new Set(['null false']));
  expect(labels('pku')).toEqual(new Set(['null null']));
  expect([...labels('world')]).toEqual(expect.arrayContaining(['true false', 'false true', 'false false']));
});

test('puts first in a pair the answer that is more harmful, or more helpful', () => {
  expect(new Set(data.pairs.map(({ trait, source }) => `${trait} ${source}`))).toEqual(
    new Set(['harmful pku', 'harmful hh', 'helpful alpaca-eval', 'helpful helpful-mixed']),
  );
  for (const { trait, more, less, key } of data.pairs) {
    // The fixture's bad answers begin so.
    expect(data.answers[trait === 'harmful' ? more : less]!.answer).toMatch(/^No idea/);
    expect([data.answers[more]!.key, data.answers[less]!.key]).toEqual([key, key]);
  }
});

test('takes the same rows every time, from every prompt in turn, and each answer once', async () => {
  expect(await judgeData({ dataDir: dir, counts: countsOf(60), sets: [], answerTokens })).toEqual(data);
  const few = await judgeData({ dataDir: dir, counts: countsOf(5), sets: [], answerTokens });
  for (const source of ['refusal-direction', 'diasafety'] as const) {
    const keys = few.answers.filter((row) => row.source === source).map(({ key }) => key);
    expect(keys).toHaveLength(5);
    expect(new Set(keys).size).toBe(5);
  }
  const texts = data.answers.map(({ prompt, answer }) => JSON.stringify([prompt, answer]));
  expect(new Set(texts).size).toBe(texts.length);
});

test('stops if a set asks what the judges learn from', async () => {
  const leaking: QuestionSet = {
    ...{ id: 'leaking', label: '', what: '', world: false },
    questions: [{ id: '1', topic: '1', messages: data.answers[0]!.prompt, kind: null, category: null }],
  };
  await expect(judgeData({ dataDir: dir, counts: countsOf(60), sets: [leaking], answerTokens })).rejects.toThrow(
    /^leak: .*the set leaking/,
  );
});
