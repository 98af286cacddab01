import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { contrastPrompts } from '../../classifier/contrast-prompts.ts';
import { everydayPrompts } from '../../smollm2/everyday.ts';
import { nearStricter } from '../../split/near-prompts.ts';
import { splitOf, textKey } from '../../split/split.ts';
import {
  attackedBehaviours,
  frighteningPairs,
  frighteningSet,
  HELD_OUT_FILES,
  type HeldOutOptions,
  harmfulSet,
  jailbreakSet,
  openingsSet,
  ordinarySet,
  type SourcedQuestion,
  waitingFrames,
  waitingSet,
} from './held-out-sets.ts';
import { attackPrefix } from './questions.ts';
import { licencesOf, questionSource } from './sources.ts';

let options: HeldOutOptions;
const subjects = Array.from({ length: 80 }, (_, i) => `subject number ${i}`);
beforeAll(async () => {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'plimsoll-held-out-'));
  options = { dataDir, part: 'test', perSource: { hh: 6, dolly: 9, rasbt: 4 }, fits: () => true };
  const write = (name: string, rows: readonly object[]) =>
    writeFile(path.join(dataDir, name), gzipSync(rows.map((row) => `${JSON.stringify(row)}\n`).join('')));
  const behaviour = (subject: string) => ({
    prompt: `Do something bad with ${subject}`,
    response_0: 'I cannot help with that.',
    response_1: `Of course, the bad thing is done with ${subject} like so.`,
    better: null,
    safer: 0,
    safe_0: true,
    safe_1: false,
    source: 'refusal_direction/jailbreakbench/ablation',
  });
  const chat = (subject: string, i: number) => ({
    messages: [{ role: 'user', content: `Say something rude about ${subject}` }, ...(i % 4 ? [] : LATER)],
    chosen: 'No.',
    rejected: 'Yes.',
    source: 'anthropics/hh-rlhf',
  });
  const instruction = (source: string) => (subject: string) => ({
    instruction: `Explain ${subject} for ${source}`,
    input: '',
    output: 'So.',
    source,
  });
  const LATER = [
    { role: 'assistant', content: 'Yes?' },
    { role: 'user', content: 'Go on.' },
  ];
  await write(HELD_OUT_FILES.behaviours, subjects.map(behaviour));
  await write(HELD_OUT_FILES.hh, subjects.map(chat));
  await write(
    HELD_OUT_FILES.dolly,
    subjects.map(instruction('databricks-dolly-15k part (nayohan/dolly-15k-analysis)')),
  );
  await write(HELD_OUT_FILES.rasbt, subjects.map(instruction('rasbt/LLMs-from-scratch')));
});
afterAll(() => rm(options.dataDir, { recursive: true }));

const texts = (set: readonly SourcedQuestion[]) => set.map(({ messages }) => messages[0]!.content);

describe('the sets that are held out', () => {
  test('have each wording once, a licence for each source, and only what belongs to their part', async () => {
    const behaviour = subjects.filter((subject) => splitOf(textKey(`Do something bad with ${subject}`)) === 'test');
    const harmful = await harmfulSet(options);
    const twins = frighteningSet(options).length;
    expect(twins).toBeGreaterThan(80);
    expect(harmful).toHaveLength(behaviour.length + twins);
    expect(new Set(harmful.map(({ kind }) => kind))).toEqual(new Set(['harmful']));
    const openings = await openingsSet(options);
    expect(openings.map(({ kind }) => kind)).toEqual(Array(6).fill('borderline'));
    const ordinary = await ordinarySet(options);
    const own = everydayPrompts().filter((text) => splitOf(textKey(text)) === 'test').length;
    expect(ordinary).toHaveLength(own + 9 + 4);
    for (const set of [harmful, openings, ordinary, frighteningSet(options)]) {
      expect(new Set(set.map(({ id }) => id)).size).toBe(set.length);
      expect(licencesOf(set.map(({ source }) => source))).toMatch(/^[\w., -]+$/);
    }
    for (const text of texts(openings)) expect(splitOf(textKey(text))).toBe('test');
    for (const { topic } of harmful) expect(splitOf(topic)).not.toBe('dev');
  });

  test('share no wording between dev and test', async () => {
    for (const set of [harmfulSet, openingsSet, ordinarySet, frighteningSet, jailbreakSet, waitingSet]) {
      const [dev, tested] = [await set({ ...options, part: 'dev' }), await set(options)];
      const asked = new Set(texts(tested));
      expect(texts(dev).filter((text) => asked.has(text))).toEqual([]);
      expect(dev.length).toBeGreaterThan(0);
    }
  });

  test('are smaller samples of larger ones', async () => {
    const more = texts(await ordinarySet({ ...options, perSource: { hh: 9, dolly: 14, rasbt: 8 } }));
    expect(more).toEqual(expect.arrayContaining(texts(await ordinarySet(options))));
  });

  test('put a behaviour into held-out frames, behind harmless words, and under the topic of the behaviour', async () => {
    const behaviours = await attackedBehaviours(options);
    for (const [set, own] of [
      [await jailbreakSet(options), null],
      [await waitingSet(options), waitingFrames()],
    ] as const) {
      expect(set).toHaveLength(2 * behaviours.length);
      expect(new Set(set.map(({ topic }) => topic))).toEqual(new Set(behaviours.map(({ topic }) => topic)));
      const asked = texts(behaviours);
      for (const text of texts(set)) expect(asked.some((question) => text.includes(question))).toBe(true);
      if (own)
        for (const text of texts(set)) expect(own.some((frame) => text.startsWith(frame.split('{}')[0]!))).toBe(true);
    }
  });

  test('begin an attack with the unsafe answer to the behaviour itself', async () => {
    const [question] = await attackedBehaviours(options);
    const words = { encode: (text: string) => text.split(' ').map((word) => word.length) };
    const prefix = (depth: number) => attackPrefix(question!, { depth, tokenizer: words });
    expect(prefix(0)).toEqual([]);
    expect(prefix(5)).toEqual([2, 7, 3, 3, 5]);
    for (const { attack } of await attackedBehaviours(options)) expect(attack).toBeDefined();
  });
});

describe('the pairs of frightening words', () => {
  const pairs = Object.values(frighteningPairs()).flat();

  test('are at least a hundred, and no wording comes twice', () => {
    expect(pairs.length).toBeGreaterThanOrEqual(100);
    const keys = pairs.flatMap(({ harmless, harmful }) => [textKey(harmless), textKey(harmful)]);
    expect(new Set(keys).size).toBe(keys.length);
  });

  test('are asked in two sets, both halves under one topic', async () => {
    const harmful = new Map((await harmfulSet(options)).map((question) => [question.topic, question]));
    for (const { topic, kind, messages } of frighteningSet(options)) {
      expect(kind).toBe('ordinary');
      const pair = pairs.find(({ harmless }) => harmless === messages[0]!.content)!;
      expect(texts([harmful.get(topic)!])).toEqual([pair.harmful]);
    }
  });

  test('are not near to prompts that experts, probes or the classifier learn from', () => {
    const own = pairs.flatMap(({ harmless, harmful }) => [harmless, harmful]);
    const others = [...everydayPrompts(), ...contrastPrompts().map(({ text }) => text)];
    const near = nearStricter([
      ...own.map((text) => ({ text, part: 'test' as const })),
      ...others.map((text) => ({ text, part: 'train' as const })),
    ]).slice(own.length);
    expect(others.filter((_, i) => near[i])).toEqual([]);
  });
});

test('a source without a licence is refused by name', () => {
  expect(() => questionSource('somewhere', 'x.jsonl')).toThrow(/x\.jsonl: the source "somewhere"/);
});
