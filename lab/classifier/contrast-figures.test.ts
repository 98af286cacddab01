import { expect, test } from 'vitest';
import type { Signals } from '#shared/classify/classify.ts';
import { type Judgement, SIGNALS } from '#shared/line/categories.ts';
import { contrastFigures, contrastSets } from './contrast-figures.ts';
import { contrastPrompts } from './contrast-prompts.ts';
import { ANY_HARM_RAMP } from './recipe.ts';

/** A classifier that reads the text as a number and returns that number as its probability. */
const saying = (by: Judgement) => (text: string) =>
  ({ ...Object.fromEntries(SIGNALS.map((signal) => [signal, 0])), [by]: Number(text) }) as Signals;

test('counts the prompts that raise a floor, and measures how well the two sides are told apart', () => {
  const { from, full } = ANY_HARM_RAMP;
  const prompts = [
    { text: `${full}`, unsafe: true },
    { text: `${from - 0.05}`, unsafe: true },
    { text: `${from + 0.01}`, unsafe: false },
    { text: '0', unsafe: false },
  ];
  const figures = contrastFigures(saying('any_harm'), { set: 'four', by: 'any_harm', prompts });
  expect(figures).toMatchObject({ pairs: 2, auc: 0.75, unsafeRising: 0.5, safeRising: 0.5 });
  expect(figures.curve[0]).toEqual({ from: 0.3, unsafe: 1, safe: 0.5 });
});

test('no set in the card contains a training prompt', () => {
  const examples = contrastPrompts();
  const trained = new Set(examples.filter(({ split }) => split === 'train').map(({ text }) => text));
  for (const { set, prompts } of contrastSets(examples)) {
    expect(prompts.length, set).toBeGreaterThan(10);
    expect(prompts.filter(({ text }) => trained.has(text))).toEqual([]);
    expect(prompts.filter(({ unsafe }) => unsafe).length, set).toBe(prompts.length / 2);
  }
});
