import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { contrastPrompts } from '../../classifier/contrast-prompts.ts';
import { splitOf, textKey } from '../../split/split.ts';
import { generateQuestions } from '../../world/generate.ts';
import { loadTopics } from '../../world/load-topics.ts';
import { writeRealData } from '../testing/real-data.ts';
import { learnedByEdge } from './learned-by-edge.ts';
import { type SetOptions, studySets } from './sets.ts';

let dir: string;
let options: SetOptions;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'plimsoll-sets-'));
  await writeRealData(dir);
  const promptTokens: SetOptions['promptTokens'] = (messages) => messages[0]!.content.split(' ').length;
  options = { seed: 1, edition: 'first', dataDir: dir, perSource: 4, promptTokens, maxPromptTokens: 40 };
});
afterAll(() => rm(dir, { recursive: true }));

describe('the world', () => {
  test('is asked about once per ask, in wordings that are not in training', async () => {
    const { sets } = await studySets(options, ['world']);
    const topics = loadTopics();
    const asks = topics.flatMap(({ questions }) => Object.values(questions).flat()).length;
    expect(sets[0]!.questions).toHaveLength(asks);
    expect(sets[0]).toMatchObject({ id: 'world', world: true });
    const trained = new Set(generateQuestions({ split: 'train', seed: 1, perAsk: 6 }).map(({ wording }) => wording));
    for (const { world, kind, category } of sets[0]!.questions) {
      expect(trained.has(world!.row.wording)).toBe(false);
      expect(category === null).toBe(kind === 'ordinary');
    }
  });
});

describe('real prompts', () => {
  test('are single turns that fit, each once, from every source', async () => {
    const { sets, missing } = await studySets(options, ['real-safety', 'real-helpful']);
    expect(missing).toEqual([]);
    for (const { id, questions } of sets) {
      const sources = {
        'real-safety': ['pku-saferlhf', 'hh-rlhf'],
        'real-helpful': ['dolly', 'rasbt', 'alpaca-eval', 'helpful-mixed'],
      }[id as 'real-safety'];
      expect(questions).toHaveLength(4 * sources.length);
      for (const source of sources)
        expect(questions.filter((question) => question.id.startsWith(`${source}-`))).toHaveLength(4);
      expect(new Set(questions.map(({ id }) => id)).size).toBe(questions.length);
      for (const { messages } of questions) {
        expect(messages).toHaveLength(1);
        expect(options.promptTokens(messages)).toBeLessThanOrEqual(options.maxPromptTokens);
      }
    }
  });

  test('are the same in a larger sample, and under another seed', async () => {
    const idsOf = async (changed: Partial<SetOptions>) =>
      (await studySets({ ...options, ...changed }, ['real-safety'])).sets[0]!.questions.map(({ id }) => id);
    const few = await idsOf({});
    expect(await idsOf({ seed: 2 })).toEqual(few);
    expect(await idsOf({ perSource: 8 })).toEqual(expect.arrayContaining(few));
  });

  test('are those of the part that is asked, and of no other', async () => {
    for (const part of ['dev', 'test'] as const) {
      const { sets } = await studySets({ ...options, part, perSource: 100 }, ['real-safety', 'real-helpful']);
      const parts = sets.flatMap(({ questions }) =>
        questions.map(({ messages }) => splitOf(textKey(messages[0]!.content))),
      );
      expect(parts.length).toBeGreaterThan(40);
      expect(new Set(parts)).toEqual(new Set([part]));
    }
  });

  test('leave out what something else has learned from, in frames and pairs too', async () => {
    const ids = ['frightening', 'harmful', 'jailbreak', 'real-helpful'] as const;
    const asked = async (leaveOut: ReadonlySet<string>) => (await studySets({ ...options, leaveOut }, ids)).sets;
    const before = await asked(new Set());
    const [pairs, harmful] = before;
    const [left, lone] = [
      pairs!.questions[0]!,
      harmful!.questions.find(({ topic }) => topic !== pairs!.questions[0]!.topic)!,
    ];
    const other = before.find(({ id }) => id === 'real-helpful')!.questions[0]!;
    const after = await asked(new Set([left, lone, other].map(({ messages }) => textKey(messages[0]!.content))));
    for (const { id, questions } of after) {
      expect(
        questions.map(({ id }) => id),
        id,
      ).not.toContain(other.id);
      for (const { topic } of questions) expect([left.topic, lone.topic]).not.toContain(topic);
    }
    expect(after.map(({ id }) => id)).toEqual(before.map(({ id }) => id));
  });

  test('that the edge has learned from are known, as far as their files are there', async () => {
    const { keys, missing } = await learnedByEdge(dir);
    expect(missing).toContain("the edge's classifier has learned from were not left out:");
    const learned = contrastPrompts().filter(({ split }) => split === 'train');
    expect(learned.filter(({ text }) => !keys.has(textKey(text))).length).toBeLessThan(learned.length / 10);
    for (const { text } of contrastPrompts().filter(({ split }) => split === 'heldout')) {
      expect(keys.has(textKey(text))).toBe(false);
    }
  });

  test('are asked in part, by topic, and whole where that is wanted', async () => {
    const idsOf = async (changed: Partial<SetOptions>) =>
      (await studySets({ ...options, ...changed }, ['world', 'frightening'])).sets.map(({ questions }) => questions);
    const [all, half] = [await idsOf({}), await idsOf({ share: 0.5, whole: ['world'] })];
    expect(half[0]).toEqual(all[0]);
    expect(half[1]!.length).toBeGreaterThan(30);
    expect(half[1]!.length).toBeLessThan(80);
    expect(all[1]).toEqual(expect.arrayContaining(half[1]!));
  });

  test('are left out with a reason if there is no folder, or only part of it', async () => {
    const ids = ['world', 'real-safety', 'real-helpful'] as const;
    const { sets, missing } = await studySets({ ...options, dataDir: null }, ids);
    expect(sets.map(({ id }) => id)).toEqual(['world']);
    expect(missing).toEqual([
      'the set real-safety: no folder of real data was given',
      'the set real-helpful: no folder of real data was given',
    ]);
    const gone = path.join(dir, 'gone');
    expect((await studySets({ ...options, dataDir: gone }, ['real-safety'])).missing).toEqual([
      `the set real-safety: there is no folder ${gone}`,
    ]);
    const empty = path.join(dir, 'empty');
    await mkdir(empty);
    expect((await studySets({ ...options, dataDir: empty }, ['real-safety'])).missing[0]).toBe(
      `the set real-safety: ${empty} lacks pref_pku_saferlhf_5k.jsonl.gz, pref_hh_rlhf_harmless_test.jsonl.gz`,
    );
    const short = await studySets({ ...options, maxPromptTokens: 0 }, ['real-helpful']);
    expect(short.missing).toEqual(['the set real-helpful: no prompt of it fits 0 tokens']);
  });

  test('cause an error that names the line if their file is broken', async () => {
    const broken = path.join(dir, 'broken');
    await mkdir(broken);
    await writeRealData(broken);
    await writeFile(path.join(broken, 'pref_pku_saferlhf_5k.jsonl.gz'), gzipSync('{"prompt": 3}\n'));
    await expect(studySets({ ...options, dataDir: broken }, ['real-safety'])).rejects.toThrow(
      /pref_pku_saferlhf_5k\.jsonl\.gz:1: /,
    );
  });
});
