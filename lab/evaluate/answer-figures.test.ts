import { expect, test } from 'vitest';
import { OPEN_LINE } from '#shared/line/line.ts';
import { answerFigures, repeatsItself } from './answer-figures.ts';
import type { AnswerRow } from './answers-file.ts';

const row = (answer: string, finish: AnswerRow['finish'] = 'stop'): AnswerRow => ({
  ...{ at: 0, prompt: [{ role: 'user', content: '?' }], name: 'open', line: OPEN_LINE, drawn: '' },
  ...{ answer, finish, tokens: 4 },
});

test('answers are counted by how they end, decline, say nothing and go round in circles', () => {
  const circles = 'the cat sat on the mat and '.repeat(6);
  const rows = [row('Warm water.'), row("I'm sorry, I can't."), row(' '), row(circles, 'length')];
  expect(answerFigures(rows)).toEqual({
    answers: 4,
    finished: 0.75,
    declines: 0.25,
    empty: 0.25,
    repeats: 0.25,
    tokens: 4,
  });
});

test('short answers and ordinary prose do not repeat themselves', () => {
  expect(repeatsItself('No, no, no, no.')).toBe(false);
  expect(
    repeatsItself(
      'Take the pan off the heat, pour warm water into the pan, wait a while, and wipe the pan with a cloth.',
    ),
  ).toBe(false);
});
