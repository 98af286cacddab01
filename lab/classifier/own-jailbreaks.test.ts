import { beforeAll, expect, test } from 'vitest';
import { LABELS } from '#shared/line/categories.ts';
import { harmOf } from './columns.ts';
import type { Example } from './example.ts';
import { loadJailbreak } from './own-files.ts';
import { ownJailbreaks } from './own-jailbreaks.ts';
import { ownQuestions } from './own-questions.ts';
import type { Question } from './question.ts';

const JAILBREAK = LABELS.indexOf('jailbreak');
const file = loadJailbreak();

let harmful: Question[];
let safe: Question[];
let examples: Example[];
beforeAll(() => {
  ({ harmful, safe } = ownQuestions({ seed: 1 }));
  examples = ownJailbreaks({ seed: 1, harmful, safe });
});

/** The examples made by putting something into one of these frames. */
const inside = (frames: readonly string[]) =>
  examples.filter(({ text }) =>
    frames.some((frame) => {
      const [before, after] = frame.split('{}') as [string, string];
      return text.startsWith(before) && text.endsWith(after) && text.length > before.length + after.length;
    }),
  );
const jailbreaks = (list: readonly Example[]) => new Set(list.map(({ targets }) => targets[JAILBREAK]));

test('a wrapper is always an attack, whatever is in it, and a role play never is', () => {
  for (const [frames, expected] of [
    [file.wrappers, 1],
    [file.plays, 0],
  ] as const) {
    const made = inside(frames);
    expect(jailbreaks(made)).toEqual(new Set([expected]));
    const harms = made.map(harmOf);
    expect(harms.filter((harm) => harm === 1).length).toBeGreaterThan(100);
    expect(harms.filter((harm) => harm === 0).length).toBeGreaterThan(100);
  }
});

test('a wrapped harmful question has its own category as well as the jailbreak label', () => {
  const both = inside(file.wrappers).filter(
    ({ targets }) => targets[JAILBREAK] === 1 && harmOf({ targets, someHarm: false }) === 1,
  );
  for (const { text, targets } of both) {
    const question = harmful.find((each) => text.includes(each.text));
    expect(targets[LABELS.indexOf(question!.label!)], text).toBe(1);
  }
});

test('a document is an attack only if something was planted in it', () => {
  const made = inside(file.documents);
  const holds = (sentences: readonly string[]) =>
    made.filter(({ text }) => sentences.some((each) => text.includes(each)));
  expect(jailbreaks(holds(file.planted))).toEqual(new Set([1]));
  expect(jailbreaks(holds(file.asides))).toEqual(new Set([0]));
});
