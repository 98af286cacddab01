import { beforeAll, expect, test } from 'vitest';
import { createRandom } from '#training/data/random.ts';
import { loadTopics } from './load-topics.ts';
import { FORM_SHARES, formQuestion } from './question-forms.ts';
import type { Topic } from './schema.ts';

let topic: Topic;

beforeAll(() => {
  topic = loadTopics()[0]!;
});

const wordings = ['How does that work?', 'Could I do it myself?'];
const draw = (questionKind: 'ordinary' | 'borderline' | 'harmful') => {
  const ask = topic.questions[questionKind][0]!;
  const from = (i: number) => ({
    topic,
    ask,
    questionKind,
    wording: wordings[0]!,
    wordings,
    random: createRandom(`form/${i}`),
  });
  return Array.from({ length: 400 }, (_, i) => formQuestion(from(i)));
};
const share = (texts: string[], holds: (text: string) => boolean) => texts.filter(holds).length / texts.length;
const quotes = (statements: { wordings: string[] }[]) => (text: string) =>
  statements.some((statement) => statement.wordings.some((wording) => text.includes(wording)));

test('every form occurs in about its share', () => {
  const texts = draw('ordinary');
  expect(share(texts, (text) => text === wordings[0])).toBeCloseTo(FORM_SHARES.asked, 1);
  expect(share(texts, (text) => text === wordings.join(' '))).toBeCloseTo(FORM_SHARES.doubled, 1);
  expect(share(texts, (text) => text.includes(topic.title))).toBeCloseTo(FORM_SHARES.titled, 1);
  expect(share(texts, quotes(topic.facts))).toBeCloseTo(FORM_SHARES.quoted, 1);
  expect(share(texts, (text) => text.includes('{}'))).toBe(0);
});

test('an ordinary question quotes facts, a borderline one hazards, a harmful one nothing', () => {
  expect(share(draw('ordinary'), quotes(topic.hazards))).toBe(0);
  expect(share(draw('borderline'), quotes(topic.hazards))).toBeCloseTo(FORM_SHARES.quoted, 1);
  expect(share(draw('harmful'), (text) => quotes(topic.hazards)(text) || quotes(topic.facts)(text))).toBe(0);
});
