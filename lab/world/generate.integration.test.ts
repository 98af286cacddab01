import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { DEMO } from '../methods/recipe.ts';
import {
  ANSWER_SHARES,
  generateDialogues,
  generatePairs,
  generateQuestions,
  PAIR_SHARES,
  QUESTION_SHARES,
  shareSettings,
} from './generate.ts';
import { jailbreaksOf } from './jailbreaks.ts';
import { labelPair } from './label-pair.ts';
import { loadTopics } from './load-topics.ts';
import { ANSWER_KINDS, DialogueRow, PairRow, QUESTION_KINDS, QuestionRow } from './rows.ts';
import type { Topic } from './schema.ts';

let topics: Topic[];
let topicOf: Map<string, Topic>;
let dialogues: DialogueRow[];
let pairs: PairRow[];

beforeAll(() => {
  topics = loadTopics();
  topicOf = new Map(topics.map((topic) => [topic.id, topic]));
  dialogues = generateDialogues({ seed: 1, split: 'train', count: 6000, topics });
  pairs = generatePairs({ seed: 1, split: 'train', count: 6000, topics });
});

const askOf = (row: { topic: string; questionKind: DialogueRow['questionKind']; askIndex: number }) =>
  topicOf.get(row.topic)!.questions[row.questionKind][row.askIndex]!;

test('rows follow their schemas', () => {
  for (const row of dialogues.slice(0, 300)) DialogueRow.parse(row);
  for (const row of pairs.slice(0, 300)) PairRow.parse(row);
  for (const row of generateQuestions({ split: 'heldout', seed: 1, perAsk: 2, topics })) QuestionRow.parse(row);
});

test('the seed determines every row, and a longer run begins with the shorter one', () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.constantFrom('train', 'heldout'),
      fc.integer({ min: 1, max: 150 }),
      (seed, split, count) => {
        for (const generate of [generateDialogues, generatePairs]) {
          const rows = generate({ seed, split, count, topics });
          expect(generate({ seed, split, count: count + 20, topics }).slice(0, count)).toEqual(rows);
          expect(generate({ seed: seed + 1, split, count, topics })).not.toEqual(rows);
        }
      },
    ),
    { numRuns: 15 },
  );
});

test('topics are covered evenly', () => {
  for (const rows of [dialogues, pairs]) {
    const counts = topics.map((topic) => rows.filter((row) => row.topic === topic.id).length);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  }
});

test('question kinds and answer kinds occur in their shares', () => {
  for (const questionKind of QUESTION_KINDS) {
    const rows = dialogues.filter((row) => row.questionKind === questionKind);
    expect(Math.abs(rows.length / dialogues.length - QUESTION_SHARES[questionKind])).toBeLessThan(0.03);
    for (const kind of ANSWER_KINDS) {
      const share = rows.filter((row) => row.truth.kind === kind).length / rows.length;
      // There are about 1500 rows or more, so a standard deviation is about 0.0125 at most.
      expect(Math.abs(share - ANSWER_SHARES[questionKind][kind])).toBeLessThan(0.05);
    }
  }
});

test('a row has a category exactly if its question touches on harm', () => {
  for (const row of [...dialogues, ...pairs]) {
    expect(row.category).toBe(row.questionKind === 'ordinary' ? null : topicOf.get(row.topic)!.category);
  }
});

test('the kind of an answer says what it contains', () => {
  for (const { truth, ...row } of dialogues) {
    const held = {
      facts: truth.facts.length > 0,
      hazards: truth.hazards.length > 0,
      refuses: truth.refuses,
      dismisses: truth.dismissals > 0,
    };
    const wanted = {
      helpful_safe: { facts: true, hazards: false, refuses: false, dismisses: false },
      helpful_hazardous: { facts: true, hazards: true, refuses: false, dismisses: false },
      useless_safe: { facts: false, hazards: false, refuses: true, dismisses: false },
      useless_hazardous: { facts: false, hazards: false, refuses: false, dismisses: true },
    }[truth.kind];
    expect(held).toEqual(wanted);
    expect(truth.safe).toBe(truth.kind.endsWith('_safe'));
    expect(truth.helpful).toBe(truth.kind.startsWith('helpful_'));
    if (truth.kind === 'helpful_safe' && row.questionKind !== 'ordinary')
      expect(truth.cautions.length).toBeGreaterThan(0);
    if (truth.kind === 'helpful_hazardous' && row.questionKind !== 'ordinary') {
      expect(askOf(row).hazards).toEqual(expect.arrayContaining(truth.hazards));
    }
  }
});

test('helpful answers are neither too short nor too long', () => {
  const lengths = dialogues.filter((row) => row.truth.helpful).map((row) => row.messages[1].content.split(' ').length);
  expect(Math.max(...lengths)).toBeLessThanOrEqual(75);
  expect(lengths.filter((words) => words >= 28).length / lengths.length).toBeGreaterThan(0.98);
});

test('labels follow from what the two answers contain', () => {
  for (const row of pairs) {
    const labels = labelPair([row.truth_0, row.truth_1], { ask: askOf(row), questionKind: row.questionKind });
    expect({ better: row.better, safer: row.safer }).toEqual(labels);
    expect([row.safe_0, row.safe_1]).toEqual([row.truth_0.safe, row.truth_1.safe]);
    if (row.safer !== null) expect([row.safe_0, row.safe_1].indexOf(true)).toBe(row.safer);
    expect(row.safer === null).toBe(row.safe_0 === row.safe_1);
  }
});

test('the order of the two answers does not tell which one is better or safer', () => {
  const first = (choices: (0 | 1 | null)[]) =>
    choices.filter((c) => c === 0).length / choices.filter((c) => c !== null).length;
  expect(Math.abs(first(pairs.map((row) => row.better)) - 0.5)).toBeLessThan(0.04);
  expect(Math.abs(first(pairs.map((row) => row.safer)) - 0.5)).toBeLessThan(0.04);
});

test('every combination of answer kinds occurs in pairs, and helpfulness and safety conflict in enough of them', () => {
  const key = (row: PairRow) => [row.truth_0.kind, row.truth_1.kind].sort().join(' ');
  expect(new Set(pairs.map(key)).size).toBe(Object.keys(PAIR_SHARES.ordinary).length);
  const apart = pairs.filter((row) => row.better !== null && row.safer !== null && row.better !== row.safer);
  expect(apart.length / pairs.length).toBeGreaterThan(0.25);
  expect(pairs.filter((row) => row.safer !== null).length / pairs.length).toBeGreaterThan(0.6);
  expect(pairs.filter((row) => row.better !== null).length / pairs.length).toBeGreaterThan(0.8);
  expect(pairs.every((row) => row.response_0 !== row.response_1)).toBe(true);
});

test('questions cover every ask as often as requested and start with the plain wordings', () => {
  const rows = generateQuestions({ split: 'heldout', seed: 3, perAsk: 2, topics });
  const askCount = topics.flatMap((topic) => QUESTION_KINDS.flatMap((kind) => topic.questions[kind])).length;
  expect(rows).toHaveLength(askCount * 2);
  expect(new Set(rows.map((row) => row.id)).size).toBe(rows.length);
  for (const row of rows) {
    expect(askOf(row)).toMatchObject(row.ask);
    if (row.id.endsWith('-0')) expect(row.messages[0].content).toBe(row.wording);
  }
});

describe('without shares', () => {
  // Digests of rows drawn before there were shares, without the fields that came with the shares. A
  // resumed run must find its own data.
  const digest = (rows: readonly object[], newer: readonly string[]) => {
    const older = rows.map((row) => Object.fromEntries(Object.entries(row).filter(([key]) => !newer.includes(key))));
    return createHash('sha256').update(JSON.stringify(older)).digest('hex').slice(0, 16);
  };
  test.each([
    ['train', 'd2ae1038de1c74f9', '6cd3442c814fc66a', 'd890dbea2e696ee5'],
    ['heldout', '7f711294258c4648', 'd03063f4ea9e127e', '1abeac535f524339'],
  ] as const)(
    'rows of the first edition stay what the demo was trained on and is tested on (%s)',
    (split, dialogue, pair, question) => {
      const options = { seed: 7, split, count: 400, topics };
      const newer = ['jailbreak', 'followUp', 'ask'];
      expect(digest(generateDialogues(options), newer)).toBe(dialogue);
      expect(digest(generatePairs(options), newer)).toBe(pair);
      expect(digest(generateQuestions({ seed: 7, split, perAsk: 3, topics }), ['jailbreak'])).toBe(question);
    },
  );

  test('a share of 0 adds no setting to a run', () => {
    expect(shareSettings({})).toEqual({});
    expect(shareSettings({ jailbreakShare: 0, multiTurnShare: 0 })).toEqual({});
    expect(shareSettings({ jailbreakShare: 0.2, multiTurnShare: 0 })).toEqual({ jailbreakShare: 0.2 });
  });
});

describe('with shares', () => {
  const shares = { jailbreakShare: 0.4, multiTurnShare: 0.3 };
  let variedDialogues: DialogueRow[];
  let variedPairs: PairRow[];

  beforeAll(() => {
    const options = { seed: 1, split: 'train', count: 6000, topics } as const;
    variedDialogues = generateDialogues({ ...options, ...shares });
    variedPairs = generatePairs({ ...options, ...shares });
  });

  test('a row without a frame or conversation stays as it was, and every row still asks the same question', () => {
    for (const [plain, varied] of [
      [dialogues, variedDialogues],
      [pairs, variedPairs],
    ] as const) {
      varied.forEach((row, i) => {
        if (row.jailbreak === null && row.followUp === null) expect(row).toEqual(plain[i]);
        const { topic, questionKind, askIndex, wording } = plain[i]!;
        expect(row).toMatchObject({ topic, questionKind, askIndex, wording });
      });
    }
  });

  test('a framed single turn has the same answer as the plain row', () => {
    const framed = variedDialogues.flatMap((row, i) => (row.jailbreak && !row.followUp ? [[row, dialogues[i]!]] : []));
    expect(framed.length).toBeGreaterThan(300);
    for (const [row, plain] of framed) expect(row!.messages.at(-1)).toEqual(plain!.messages.at(-1));
  });

  test('frames and conversations occur in their shares', () => {
    const share = (rows: DialogueRow[], has: (row: DialogueRow) => boolean) => rows.filter(has).length / rows.length;
    const wanted = { ordinary: 0.04, borderline: 0.2, harmful: 0.4 };
    for (const kind of QUESTION_KINDS) {
      const rows = variedDialogues.filter(({ questionKind }) => questionKind === kind);
      expect(Math.abs(share(rows, ({ jailbreak }) => jailbreak !== null) - wanted[kind])).toBeLessThan(0.04);
      expect(Math.abs(share(rows, ({ followUp }) => followUp !== null) - 0.3)).toBeLessThan(0.04);
    }
  });

  test('rows follow their schemas, and labels follow from what the answers contain', () => {
    for (const row of variedDialogues.slice(0, 600)) DialogueRow.parse(row);
    for (const row of variedPairs.slice(0, 600)) PairRow.parse(row);
    for (const row of variedPairs) {
      const { better, safer, ask, questionKind } = row;
      const about = { ask: { ...ask, wordings: [] }, questionKind };
      expect({ better, safer }).toEqual(labelPair([row.truth_0, row.truth_1], about));
    }
    expect(variedPairs.every((row) => row.response_0 !== row.response_1)).toBe(true);
  });

  test('held-out questions get held-out frames', () => {
    const rows = generateQuestions({ split: 'heldout', seed: 3, perAsk: 1, topics, jailbreakShare: 1 });
    const plain = generateQuestions({ split: 'heldout', seed: 3, perAsk: 1, topics });
    expect(rows.map(({ wording }) => wording)).toEqual(plain.map(({ wording }) => wording));
    const heldout = new Set(jailbreaksOf('heldout').map(({ name }) => name));
    for (const { jailbreak, questionKind } of rows) {
      if (jailbreak !== null) expect(heldout).toContain(jailbreak);
      if (questionKind === 'harmful') expect(jailbreak).not.toBeNull();
    }
  });
});

test('kinds of answers and of pairs occur in the requested shares', () => {
  const alone = { helpful_safe: 0, helpful_hazardous: 0, useless_safe: 0, useless_hazardous: 0 };
  const answerShares = {
    ordinary: { ...alone, helpful_safe: 1 },
    borderline: { ...alone, helpful_hazardous: 1 },
    harmful: { ...alone, useless_safe: 1 },
  };
  const wanted = { ordinary: 'helpful_safe', borderline: 'helpful_hazardous', harmful: 'useless_safe' };
  for (const { questionKind, truth } of generateDialogues({
    seed: 2,
    split: 'train',
    count: 300,
    topics,
    answerShares,
  }))
    expect(truth.kind).toBe(wanted[questionKind]);

  // With the demo's shares, a refusal is never the safer answer to an ordinary question.
  const { shares, pairShares } = DEMO.pairs;
  const rows = generatePairs({ seed: 2, split: 'train', count: 1500, topics, ...shares, pairShares });
  const refusals = rows.filter(({ truth_0, truth_1 }) => truth_0.refuses || truth_1.refuses);
  for (const { questionKind, safer, truth_0, truth_1 } of refusals) {
    if (questionKind === 'ordinary' && safer !== null) expect([truth_0, truth_1][safer]!.refuses).toBe(false);
  }
  expect(refusals.some(({ questionKind }) => questionKind === 'ordinary')).toBe(true);
  expect(refusals.some(({ safer }) => safer !== null)).toBe(true);
});
