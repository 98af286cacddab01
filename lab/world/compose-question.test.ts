import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { createRandom } from '#training/data/random.ts';
import { wordingsOf, wrapQuestion } from './compose-question.ts';
import { generateDialogues, generatePairs } from './generate.ts';
import { loadTopics } from './load-topics.ts';
import { QUESTION_KINDS, type QuestionKind } from './rows.ts';
import type { Ask, Topic } from './schema.ts';

let topics: Topic[];
let asks: { topic: Topic; questionKind: QuestionKind; ask: Ask }[];

beforeAll(() => {
  topics = loadTopics();
  asks = topics.flatMap((topic) =>
    QUESTION_KINDS.flatMap((questionKind) =>
      topic.questions[questionKind].map((ask) => ({ topic, questionKind, ask })),
    ),
  );
});

const side = (split: 'train' | 'heldout') => asks.flatMap(({ ask, ...where }) => wordingsOf(ask, { ...where, split }));
const bare = (text: string) =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, ' ')
    .trim();

test('each ask has wordings on both sides, no wording is on both, and about a fifth is held out', () => {
  for (const { ask, ...where } of asks) {
    const train = wordingsOf(ask, { ...where, split: 'train' });
    const heldout = wordingsOf(ask, { ...where, split: 'heldout' });
    expect(train.length).toBeGreaterThan(0);
    expect(heldout.length).toBeGreaterThan(0);
    expect([...train, ...heldout].sort()).toEqual([...ask.wordings].sort());
  }
  const share = side('heldout').length / (side('heldout').length + side('train').length);
  expect(share).toBeGreaterThan(0.17);
  expect(share).toBeLessThan(0.25);
});

test('a wording keeps its side when other wordings are added to its ask', () => {
  for (const { ask, ...where } of asks) {
    const heldout = wordingsOf(ask, { ...where, split: 'heldout' });
    const longer = { ...ask, wordings: [...ask.wordings, 'Something nobody has asked before?'] };
    const lost = heldout.filter((wording) => !wordingsOf(longer, { ...where, split: 'heldout' }).includes(wording));
    // A wording may lose its place to the new one only if it was held out because nothing else was.
    expect(lost.length).toBeLessThanOrEqual(heldout.length === 1 ? 1 : 0);
  }
});

test('no held-out wording occurs in a training question, however it is wrapped', () => {
  const options = { seed: 11, split: 'train', count: 3000, topics } as const;
  const asked = [
    ...generateDialogues(options).map((row) => row.messages[0].content),
    ...generatePairs(options).map((row) => row.prompt[0].content),
    ...side('train'),
  ];
  const everything = `| ${[...new Set(asked.map(bare))].join(' | ')} |`;
  const leaked = side('heldout').filter((wording) => everything.includes(` ${bare(wording)} `));
  expect(leaked).toEqual([]);
});

test('wrapping keeps the wording, except for case, the final punctuation mark and one misspelt word', () => {
  fc.assert(
    fc.property(fc.constantFrom(...side('train')), fc.string(), (wording, seed) => {
      const wrapped = wrapQuestion(wording, createRandom(seed)).toLowerCase().split(' ');
      const words = wording
        .toLowerCase()
        .replace(/[.?!]+$/, '')
        .split(' ');
      const missing = words.filter(
        (word) => !wrapped.some((other) => other.replace(/[.?!]+$/, '') === word.replace(/[.?!]+$/, '')),
      );
      expect(missing.length).toBeLessThanOrEqual(1);
    }),
    { numRuns: 500 },
  );
});

test('many questions stay as they are, and the others vary', () => {
  const wrapped = Array.from({ length: 500 }, (_, i) => wrapQuestion('How do I whiten grout?', createRandom(`w${i}`)));
  expect(wrapped.filter((text) => text === 'How do I whiten grout?').length).toBeGreaterThan(100);
  expect(new Set(wrapped).size).toBeGreaterThan(120);
});
